/// <reference types="node" />

// The bus: its packets and its emitter.

import type { EventEmitter } from 'node:events'

import type { ActionReply, BusProcess, Pm2Env } from './processes.js'

/** `log:out`, `log:err` and `log:PM2`. */
export interface LogPacket {
  process: BusProcess
  /** ms since 1970. */
  at: number
  data: string
}

export interface ProcessEventPacket {
  event:
    | 'online'
    | 'start'
    | 'exit'
    | 'stop'
    | 'restart'
    | 'reload'
    | 'delete'
    | 'restart overlimit'
    | 'graceful reload'
    | (string & {})
  /** Asked for by a client. */
  manually: boolean
  process: Pm2Env
  at: number
}

/** `process:msg`: `data` of a message with a type, else the message itself as `raw`. */
export interface MessagePacket {
  process: BusProcess
  at: number
  data?: any
  raw?: any
}

export interface ExceptionPacket {
  process: BusProcess
  at: number
  data: {
    message: string
    stack: string
    name?: string
    /** The line of source that threw. */
    context?: string
    /** `file:line`. */
    callsite?: string
    [key: string]: any
  }
}

export interface KillPacket {
  status: 'killed'
  msg: string
}

export interface Bus {
  /**
   * In an event's name `*` stands for one or more characters. The listener gets what the stars (or the groups of a
   * RegExp) caught, then the payload.
   */
  on(event: 'process:event', listener: (packet: ProcessEventPacket) => void): this
  on(event: 'process:exception', listener: (packet: ExceptionPacket) => void): this
  on(event: 'process:msg', listener: (packet: MessagePacket) => void): this
  on(event: 'log:out' | 'log:err' | 'log:PM2', listener: (packet: LogPacket) => void): this
  on(event: 'log:*', listener: (type: 'out' | 'err' | 'PM2', packet: LogPacket) => void): this
  on(event: 'axm:reply', listener: (packet: ActionReply) => void): this
  on(event: 'pm2:kill', listener: (packet: KillPacket) => void): this
  on(event: '*', listener: (event: string, packet: any) => void): this
  on(event: string | RegExp, listener: (...args: any[]) => void): this
  /** Takes away all listeners that were added with this very event. */
  off(event: string | RegExp): this
  onmessage(event: string, ...args: any[]): void
  close(): this
  connect(...args: any[]): this
  bind(...args: any[]): this
  sock: BusSocket
  listeners: { event: string | RegExp; re: RegExp; fn: (...args: any[]) => void }[]
}

/** Emits `connect`, `close` and `reconnect attempt`. */
export interface BusSocket extends EventEmitter {
  connected: boolean
  close(): void
}
