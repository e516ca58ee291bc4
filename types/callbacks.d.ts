// Errors, and what methods call when they are done.

import type { Bus, BusSocket } from './bus.js'
import type { Proc, ProcessDescription } from './processes.js'

/** An error of pm2-rs: `message` is what pm2 says, `code` a name that never changes. */
export interface Pm2Error extends Error {
  /** Such as `PROCESS_NOT_FOUND`, `INVALID_CONFIG`, `DAEMON_NOT_LAUNCHED`, or the system's `ENOENT`. */
  code?: string
  /** Of a `start` given as promise that failed in part: every error. */
  errors?: Error[]
  /** Of a `start` given as promise that failed in part: what did start. */
  partial?: Proc[]
}

/**
 * `(err, result)`: `err` is `null` on success. Declared in the way of methods, so that `(err: Error, ...)` of
 * existing programs compiles as well as `(err: Error | null, ...)`.
 */
export type Errback<T = void> = { call(err: Error | null, result: T): void }['call']
export type ErrCallback = Errback<unknown>
export type ErrProcCallback = StartErrback
export type ErrProcDescCallback = Errback<ProcessDescription[]>
export type ErrProcDescsCallback = Errback<ProcessDescription[]>
export type ErrResultCallback = Errback<any>
export type ErrBusCallback = { call(err: Error | null, bus: Bus, socket: BusSocket): void }['call']
/** When some of several apps could not be prepared, `err` is an array of errors and `processes` what did start. */
export type StartErrback = { call(err: Error | Error[] | null, processes: Proc[]): void }['call']
