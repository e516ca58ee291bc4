// `pm2.Client`: calls of the daemon.

import type { Bus } from './bus.js'
import type { ErrBusCallback, Errback } from './callbacks.js'
import type { Target } from './options.js'
import type { ConnectResult, Pm2Env, ProcessDescription, Success } from './processes.js'

export type WatchedProcess = { id: number | string }

/** `pm2.Client`: raw calls. */
export interface Client {
  conf: Record<string, any>
  daemon_mode: boolean
  pm2_home: string
  secret_key: string | null
  public_key: string | null
  machine_name: string | null
  rpc_socket_file: string
  pub_socket_file: string
  start(cb: Errback<ConnectResult>): void
  start(): Promise<ConnectResult>
  launchRPC(cb: Errback<ConnectResult>): void
  launchRPC(): Promise<ConnectResult>
  launchDaemon(opts: object, cb: Errback<ConnectResult>): void
  launchDaemon(cb: Errback<ConnectResult>): void
  launchDaemon(opts?: object): Promise<ConnectResult>
  /** The callback has no error. */
  pingDaemon(cb: (alive: boolean) => void): void
  pingDaemon(): Promise<boolean>
  executeRemote(method: string, arg: any, cb: (err: Error | null, ...results: any[]) => void): void
  executeRemote(method: string, arg?: any): Promise<any>
  getExposedMethods(cb: Errback<Record<string, { name: string; params: string[] }>>): void
  getExposedMethods(): Promise<Record<string, { name: string; params: string[] }>>
  launchBus(cb: ErrBusCallback): void
  launchBus(): Promise<Bus>
  disconnectBus(cb: Errback<{ msg: string }>): void
  disconnectBus(): Promise<{ msg: string }>
  disconnectRPC(cb: Errback<{ msg: string }>): void
  disconnectRPC(): Promise<{ msg: string }>
  close(cb: Errback): void
  close(): Promise<void>
  killDaemon(cb: Errback<Success>): void
  killDaemon(): Promise<Success>
  initFileStructure(conf?: object): void
  /** Makes the daemon publish `process:event` with this name. */
  notifyGod(name: string, id: number | string, cb: Errback<any>): void
  notifyGod(name: string, id: number | string): Promise<any>
  startWatch(method: string, env: WatchedProcess, cb: Errback<any>): void
  startWatch(method: string, env: WatchedProcess): Promise<any>
  stopWatch(method: string, env: WatchedProcess | number | string, cb: Errback<any>): void
  stopWatch(method: string, env: WatchedProcess | number | string): Promise<any>
  toggleWatch(method: string, env: WatchedProcess, cb: Errback<any>): void
  toggleWatch(method: string, env: WatchedProcess): Promise<any>
  getAllProcess(cb: Errback<ProcessDescription[]>): void
  getAllProcess(): Promise<ProcessDescription[]>
  getAllProcessId(cb: Errback<number[]>): void
  getAllProcessId(): Promise<number[]>
  getAllProcessIdWithoutModules(cb: Errback<number[]>): void
  getAllProcessIdWithoutModules(): Promise<number[]>
  getProcessByName(name: string, cb: Errback<ProcessDescription[]>): void
  getProcessByName(name: string): Promise<ProcessDescription[]>
  getProcessByNameOrId(nameOrId: Target, cb: Errback<ProcessDescription[]>): void
  getProcessByNameOrId(nameOrId: Target): Promise<ProcessDescription[]>
  getProcessIdByName(name: string, cb: DetailsErrback): void
  getProcessIdByName(name: string, all: boolean, cb: DetailsErrback): void
  getProcessIdByName(name: string, all?: boolean): Promise<number[]>
  getProcessIdsByNamespace(namespace: string, cb: DetailsErrback): void
  getProcessIdsByNamespace(namespace: string, all: boolean, cb: DetailsErrback): void
  getProcessIdsByNamespace(namespace: string, all?: boolean): Promise<number[]>
}
export type DetailsErrback = { call(err: Error | null, ids: number[], details: Record<string, Pm2Env>): void }['call']
