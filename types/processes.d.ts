// What the API gives back: processes, log lines, packets and answers.

export type ProcessStatus =
  | 'online'
  | 'stopping'
  | 'stopped'
  | 'launching'
  | 'errored'
  | 'waiting restart'
  | 'one-launch-status'

export interface Monit {
  /** Resident size in bytes; 0 when not online. */
  memory?: number
  /** Percent of one core; 0 when not online and at the first look. */
  cpu?: number
}

/** What the daemon keeps of a process. Every variable of its environment is here as well. */
export interface Pm2Env {
  name?: string
  namespace?: string
  pm_id?: number | string
  status?: ProcessStatus
  /** Time of the last start, ms since 1970. */
  pm_uptime?: number
  /** Time of the first start or last manual restart, ms since 1970; `null` once given up. */
  created_at?: number | null
  restart_time?: number
  unstable_restarts?: number
  /** 0 when a signal ended it. */
  exit_code?: number
  prev_restart_delay?: number
  pm_exec_path?: string
  pm_cwd?: string
  cwd?: string
  exec_interpreter?: string
  exec_mode?: 'fork_mode' | 'cluster_mode'
  instances?: number | string
  instance_var?: string
  NODE_APP_INSTANCE?: number
  node_args?: string[]
  args?: (string | number)[]
  pm_out_log_path?: string
  pm_err_log_path?: string
  pm_log_path?: string
  pm_pid_path?: string
  merge_logs?: boolean
  env?: Record<string, any>
  unique_id?: string
  /** Version in the app's package.json, or `N/A`. */
  version?: string
  node_version?: string
  versioning?: any
  axm_actions?: any[]
  axm_monitor?: Record<string, any>
  axm_options?: Record<string, any>
  axm_dynamic?: Record<string, any>
  autorestart?: boolean
  autostart?: boolean
  watch?: boolean | string | string[]
  treekill?: boolean
  pmx?: boolean | string
  pmx_module?: boolean
  username?: string
  [key: string]: any
}

/** An element of `list` and `describe`. */
export interface ProcessDescription {
  name?: string
  /** 0 when it does not run. */
  pid?: number
  pm_id?: number
  monit?: Monit
  pm2_env?: Pm2Env
}

/** What an action gives for each process: started ones have `pid` and `process`, others only the rest. */
export interface Proc {
  name?: string
  namespace?: string
  pm_id?: number
  pid?: number
  status?: ProcessStatus
  restart_time?: number
  pm2_env?: Pm2Env
  process?: { pid?: number; [key: string]: any }
  [key: string]: any
}

/** One line of a log file. */
export interface LogLine {
  /** Without its line feed. */
  line: string
  type: 'out' | 'err'
  /** `undefined` when several apps of different names write to the file. */
  name: string | undefined
  /** `undefined` when several instances write to the file. */
  pm_id: number | undefined
  /** When it was written, if the line says so (`log_date_format` in an ISO form, `time`, `log_type: 'json'`). */
  at: Date | undefined
  /** The file it stands in. */
  file: string
}

export interface StreamLogsOptions {
  /** So many of the last lines of each file come first; without it none, or all since `since`. */
  lines?: number
  /** From this moment on: a `Date`, ms since the epoch, an ISO text, or so long ago (`10m`). Lines must carry their time. */
  since?: Date | number | string
  /** Up to this moment, and then it ends. */
  until?: Date | number | string
  /** `false`: end after the last lines. */
  follow?: boolean
  /** `false`: not the standard output. */
  out?: boolean
  /** `false`: not the standard error. */
  err?: boolean
  /** Ends the iteration. */
  signal?: AbortSignal
}

export interface ConnectResult {
  /** `true`: the daemon was launched by this call. */
  new_pm2_instance: boolean
  rpc_socket_file: string
  pub_socket_file: string
  pm2_home: string
}

export interface Success {
  success: boolean
  [key: string]: any
}

/** A message for an app: it gets the whole packet. */
export interface Packet {
  id?: number | string
  type?: string
  topic: string | boolean | number
  data: any
  [key: string]: any
}

/** A process in a packet of the bus. */
export interface BusProcess {
  pm_id: number | string
  name: string
  namespace?: string
  rev?: string | null
  versioning?: any
}

/** An action called in an app. */
export interface ActionMessage {
  id?: number | string
  name?: string
  msg: string
  opts?: any
  uuid?: string
}

export interface ActionReply {
  at: number
  data: { action_name?: string; return?: any; [key: string]: any }
  process: BusProcess
}
