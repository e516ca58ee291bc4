// The API: every method, with errback and as promise.

import type { Bus } from './bus.js'
import type { ErrBusCallback, Errback, StartErrback } from './callbacks.js'
import type { Client } from './client.js'
import type {
  Apps,
  Config,
  ConfigFileOptions,
  CustomOptions,
  InstallOptions,
  Platform,
  ReloadOptions,
  RestartOptions,
  ServeOptions,
  StartOptions,
  StartupOptions,
  Target,
  TargetOrApps,
} from './options.js'
import type {
  ActionMessage,
  ActionReply,
  ConnectResult,
  LogLine,
  Packet,
  Proc,
  ProcessDescription,
  StreamLogsOptions,
  Success,
} from './processes.js'

/** Every method takes an errback, or gives a promise when there is none. */
export interface API {
  daemon_mode: boolean
  pm2_home: string
  public_key: string | null
  secret_key: string | null
  machine_name: string | null
  cwd: string
  /** Constants and paths. */
  _conf: Record<string, any>
  Client: Client
  pm2_configuration: Record<string, any>
  gl_interact_infos: any
  gl_is_km_linked: boolean
  gl_retry: number
  /** When `connect` was called last. */
  start_timer?: Date

  /** Connects to the daemon and launches one if there is none. `true`: that one ends with this process. */
  connect(cb: Errback<ConnectResult>): void
  connect(noDaemonMode: boolean, cb: Errback<ConnectResult>): void
  connect(noDaemonMode?: boolean): Promise<ConnectResult>
  /** Closes the connection and every bus; until then they keep the process alive. */
  disconnect(cb: Errback): void
  disconnect(): Promise<void>
  /** Same as `disconnect`. */
  close(cb: Errback): void
  close(): Promise<void>
  /** Ends the daemon and removes its home; refused for a home called `.pm2`. */
  destroy(cb: Errback): void
  destroy(): Promise<void>
  /** Stops every process, then the daemon. */
  killDaemon(cb: Errback<Success>): void
  killDaemon(): Promise<Success>
  /** Same as `killDaemon`. */
  kill(cb: Errback<Success>): void
  kill(): Promise<Success>
  /** Opens a bus; waits for a daemon, launches none. */
  launchBus(cb: ErrBusCallback): void
  launchBus(): Promise<Bus>
  launchModules(cb: Errback): void
  launchModules(): Promise<void>
  launchAll(data: any, cb: Errback<any>): void
  launchAll(cb: Errback<any>): void
  launchAll(data?: any): Promise<any>
  launchSysMonitoring(cb: Errback): void
  launchSysMonitoring(): Promise<void>
  exitCli(code?: number): false
  /** Replaces the daemon by a new one with the same processes. */
  update(cb?: Errback<Success>): false
  deepUpdate(cb?: Errback<Success>): false

  /** Starts a script, an app, several, or what a config file lists. */
  start(target: string | Apps, cb: StartErrback): void
  start(target: string | Apps, options: ConfigFileOptions | string, cb: StartErrback): void
  start(target: string | Apps, options?: ConfigFileOptions): Promise<Proc[]>
  restart(target: TargetOrApps, cb: StartErrback): void
  restart(target: TargetOrApps, options: RestartOptions, cb: StartErrback): void
  restart(target: TargetOrApps, options?: RestartOptions): Promise<Proc[]>
  /** Cluster mode: one worker after the other, none is missed. Otherwise like `restart`. */
  reload(target: TargetOrApps, cb: StartErrback): void
  reload(target: TargetOrApps, options: ReloadOptions, cb: StartErrback): void
  reload(target: TargetOrApps, options?: ReloadOptions): Promise<Proc[]>
  gracefulReload(target: TargetOrApps, cb: StartErrback): void
  gracefulReload(target: TargetOrApps, options: ReloadOptions, cb: StartErrback): void
  gracefulReload(target: TargetOrApps, options?: ReloadOptions): Promise<Proc[]>
  /** The processes stay in the list. */
  stop(target: TargetOrApps, cb: Errback<Proc[]>): void
  stop(target: TargetOrApps): Promise<Proc[]>
  /** Stops and takes out of the list. With `'pipe'` the target is JSON text of apps. */
  delete(target: TargetOrApps, cb: Errback<Proc[]>): void
  delete(target: TargetOrApps, jsonVia: string, cb: Errback<Proc[]>): void
  delete(target: TargetOrApps, jsonVia?: string): Promise<Proc[]>
  /** Sets the restart counters to 0. */
  reset(target: Target, cb: Errback<Success>): void
  reset(target: Target): Promise<Success>
  /** `count`: a total, or `'+2'`, `'-1'`. */
  scale(name: Target, count: number | string, cb: Errback<Success>): void
  scale(name: Target, count: number | string): Promise<Success>
  actionFromJson(action: string, file: string | object, opts: any, jsonVia: any, cb: Errback<any>): void
  actionFromJson(action: string, file: string | object, opts?: any, jsonVia?: any): Promise<any>

  list(cb: Errback<ProcessDescription[]>): void
  list(options: object, cb: Errback<ProcessDescription[]>): void
  list(options?: object): Promise<ProcessDescription[]>
  /** By id or exact name; `[]` when there is none. */
  describe(target: Target, cb: Errback<ProcessDescription[]>): void
  describe(target: Target): Promise<ProcessDescription[]>
  getPID(cb: Errback<number[]>): void
  getPID(name: string | undefined, cb: Errback<number[]>): void
  getPID(name?: string): Promise<number[]>
  getProcessIdByName(name: string, cb: Errback<number[]>): void
  getProcessIdByName(name: string): Promise<number[]>
  /** Version of the running daemon. */
  getVersion(cb: Errback<string>): void
  getVersion(): Promise<string>
  ping(cb: Errback<{ msg: string }>): void
  ping(): Promise<{ msg: string }>
  env(id: Target, cb: Errback<Record<string, any>>): void
  env(id: Target): Promise<Record<string, any>>
  /** Prints a report for bug reports. */
  report(): Promise<number>
  /** Prints the list as JSON. */
  jlist(debug?: any): Promise<number>
  /** Prints the list readably. */
  slist(tree?: any): Promise<number>
  /** Prints the table. */
  speedList(code?: any, apps?: any): Promise<number>
  /**
   * The lines of log files: the last `lines` of each (0 without it) merged by time, then what comes, across rotations
   * and restarts. Ours, not pm2's. `for await (const { name, line } of pm2.streamLogs('all', { lines: 10 })) ...`
   */
  streamLogs(target: Target | RegExp | (Target | RegExp)[], options: StreamLogsOptions): AsyncIterableIterator<LogLine>
  /** Prints logs and follows them. */
  streamLogs(
    id?: Target,
    lines?: number,
    raw?: boolean,
    timestamp?: any,
    exclusive?: any,
    highlight?: any,
  ): Promise<number>
  /** Prints the last lines of the logs. */
  printLogs(id?: Target, lines?: number, raw?: boolean, timestamp?: any, exclusive?: any): Promise<number>

  sendSignalToProcessName(signal: string | number, name: Target, cb: Errback<any>): void
  sendSignalToProcessName(signal: string | number, name: Target): Promise<any>
  sendSignalToProcessId(signal: string | number, id: number | string, cb: Errback<any>): void
  sendSignalToProcessId(signal: string | number, id: number | string): Promise<any>
  sendDataToProcessId(id: number | string, packet: Packet, cb: Errback<{ success: boolean; data: Packet }>): void
  sendDataToProcessId(packet: Packet, cb: Errback<{ success: boolean; data: Packet }>): void
  sendDataToProcessId(id: number | string, packet: Packet): Promise<{ success: boolean; data: Packet }>
  sendDataToProcessId(packet: Packet): Promise<{ success: boolean; data: Packet }>
  /** Writes a line to the stdin of a fork process; `separator` ends it, default a newline. */
  sendLineToStdin(id: number | string, line: string, cb: Errback<{ pm_id: number; line: string }>): void
  sendLineToStdin(
    id: number | string,
    line: string,
    separator: string | undefined,
    cb: Errback<{ pm_id: number; line: string }>,
  ): void
  sendLineToStdin(id: number | string, line: string, separator?: string): Promise<{ pm_id: number; line: string }>
  msgProcess(message: ActionMessage, cb: Errback<{ process_count: number; success: boolean }>): void
  msgProcess(message: ActionMessage): Promise<{ process_count: number; success: boolean }>
  /** Calls an action in the apps and waits for their answers. */
  trigger(target: Target, action: string, cb: Errback<ActionReply[]>): void
  trigger(target: Target, action: string, params: any, cb: Errback<ActionReply[]>): void
  trigger(target: Target, action: string, params?: any): Promise<ActionReply[]>
  attach(id: number | string, cb: Errback): void
  attach(id: number | string, separator: string | undefined, cb: Errback): void
  attach(id: number | string, separator?: string): Promise<void>
  inspect(name: Target, cb: Errback<ActionReply[]>): void
  inspect(name: Target): Promise<ActionReply[]>

  /** Saves the list; `true`: even an empty one. */
  dump(cb: Errback<Success>): void
  dump(force: boolean, cb: Errback<Success>): void
  dump(force?: boolean): Promise<Success>
  autodump(cb: Errback): void
  autodump(): Promise<void>
  clearDump(cb: Errback): void
  clearDump(): Promise<void>
  /** Starts what was saved and is not in the list; gives the bytes of the dump. */
  resurrect(cb: Errback<Buffer>): void
  resurrect(): Promise<Buffer>
  /** Empties log files: of one process, or all and the daemon's own. */
  flush(cb: Errback<ProcessDescription[]>): void
  flush(target: Target | undefined | null, cb: Errback<ProcessDescription[]>): void
  flush(target?: Target | null): Promise<ProcessDescription[]>
  /** Closes and opens all log files anew, after they were moved. */
  reloadLogs(cb: Errback<any>): void
  reloadLogs(): Promise<any>
  logrotate(options: object, cb: Errback<any>): void
  logrotate(cb: Errback<any>): void
  logrotate(options?: object): Promise<any>

  /** Makes the system start the daemon at boot; needs root. */
  startup(platform: Platform | undefined, cb: Errback<any>): void
  startup(platform: Platform | undefined, options: StartupOptions, cb: Errback<any>): void
  startup(cb: Errback<any>): void
  startup(platform?: Platform, options?: StartupOptions): Promise<any>
  uninstallStartup(platform: Platform | undefined, cb: Errback<any>): void
  uninstallStartup(platform: Platform | undefined, options: StartupOptions, cb: Errback<any>): void
  uninstallStartup(cb: Errback<any>): void
  uninstallStartup(platform?: Platform, options?: StartupOptions): Promise<any>

  /** Reads the configuration store: `{ success, value }`. */
  get(key: string, cb: Errback<Success>): void
  get(cb: Errback<Success>): void
  get(key?: string): Promise<Success>
  set(key: string, value: any, cb: Errback<Success>): void
  set(key: string, value: any): Promise<Success>
  multiset(text: string, cb: Errback<Success>): void
  multiset(text: string): Promise<Success>
  unset(key: string, cb: Errback<Success>): void
  unset(key: string): Promise<Success>
  conf(key: string, value: any, cb: Errback<Success>): void
  conf(key: string, cb: Errback<Success>): void
  conf(key: string, value?: any): Promise<Success>

  /** Serves a folder: path default `.`, port default 8080. */
  serve(
    path: string | undefined,
    port: number | string | undefined,
    options: ServeOptions | undefined,
    cb: StartErrback,
  ): void
  serve(
    path: string | undefined,
    port: number | string | undefined,
    options: ServeOptions | undefined,
    commander: { name?: string },
    cb: StartErrback,
  ): void
  serve(path?: string, port?: number | string, options?: ServeOptions, commander?: { name?: string }): Promise<Proc[]>
  profile(type: 'cpu' | 'mem', cb: Errback<any>): void
  profile(type: 'cpu' | 'mem', time: number | undefined, cb: Errback<any>): void
  profile(type: 'cpu' | 'mem', time?: number): Promise<any>
  monitorState(state: 'monitor' | 'unmonitor', target: Target, cb: Errback<any>): void
  monitorState(state: 'monitor' | 'unmonitor', target: Target): Promise<any>

  install(name: string, options: InstallOptions, cb: Errback<any>): void
  install(name: string, cb: Errback<any>): void
  install(name: string, options?: InstallOptions): Promise<any>
  uninstall(name: string, cb: Errback<any>): void
  uninstall(name: string): Promise<any>
  package(path: string, cb: Errback<any>): void
  package(path?: string): Promise<any>
  publish(folder: string, options: any, cb: Errback<any>): void
  publish(folder?: string, options?: any): Promise<any>
  generateModuleSample(name: string, cb: Errback<any>): void
  generateModuleSample(name?: string): Promise<any>
  deleteModule(name: string, cb: Errback<any>): void
  deleteModule(name: string): Promise<any>
  boilerplate(cb: Errback<any>): void
  boilerplate(): Promise<any>
  generateSample(mode?: string): Promise<any>
  deploy(file: string, commands: { rawArgs?: string[] }, cb: Errback<any>): void
  deploy(file: string, commands: { rawArgs?: string[] }): Promise<any>
  pullAndRestart(name: string, cb: Errback<any>): void
  pullAndRestart(name: string): Promise<any>
  pullAndReload(name: string, cb: Errback<any>): void
  pullAndReload(name: string): Promise<any>
  _pull(name: any, cb: Errback<any>): void
  _pull(name: any): Promise<any>
  pullCommitId(name: string, commit: string, cb: Errback<any>): void
  pullCommitId(name: string, commit: string): Promise<any>
  _pullCommitId(name: any, cb: Errback<any>): void
  _pullCommitId(name: any): Promise<any>
  backward(name: string, cb: Errback<any>): void
  backward(name: string): Promise<any>
  forward(name: string, cb: Errback<any>): void
  forward(name: string): Promise<any>

  /** @deprecated Not available to programs: always an error. */
  dashboard(cb?: Errback<any>): Promise<any>
  /** @deprecated Not available to programs: always an error. */
  monit(cb?: Errback<any>): Promise<any>
  /** @deprecated Not supported: always an error. */
  agentInfos(cb?: Errback<any>): Promise<any>
  /** @deprecated Not supported: always an error. */
  killAgent(cb?: Errback<any>): Promise<any>
  /** @deprecated Not supported: always an error. */
  autoinstall(cb?: Errback<any>): Promise<any>
  /** @deprecated Not supported: always an error. */
  remote(...args: any[]): Promise<any>
  /** @deprecated Not supported: always an error. */
  remoteV2(...args: any[]): Promise<any>
  /** @deprecated Not supported: always an error. */
  generateDockerfile(...args: any[]): Promise<any>
  /** @deprecated Not supported: always an error. */
  dockerMode(...args: any[]): Promise<any>
  /** @deprecated Not supported: always an error. */
  linkManagement(...args: any[]): Promise<any>
  /** @deprecated Not supported: always an error. */
  link(...args: any[]): Promise<any>
  /** @deprecated Not supported: always an error. */
  unlink(...args: any[]): Promise<any>
  /** @deprecated Not supported: always an error. */
  openDashboard(...args: any[]): Promise<any>
  /** @deprecated Not supported: always an error. */
  clearSetup(...args: any[]): Promise<any>
  /** @deprecated Not supported: always an error. */
  minimumSetup(...args: any[]): Promise<any>

  _startScript(script: string, options: any, cb?: StartErrback): any
  _startJson(file: string | object, options: any, action?: any, pipe?: any, cb?: StartErrback): any
  _operate(action: string, target: TargetOrApps, options: any, cb?: Errback<Proc[]>): any
  _handleAttributeUpdate(options: any): any
}

export interface ApiConstructor {
  new (options?: CustomOptions): API
  readonly prototype: API
}

export interface Singleton extends API {
  /** The class; `new pm2.custom({ pm2_home })` is one more instance. */
  custom: ApiConstructor
  /** Gives the configuration back: for the types in a `*.config.js`. */
  defineConfig<T extends Config | StartOptions[] | (() => Config | Promise<Config>)>(config: T): T
}
