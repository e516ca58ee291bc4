// What is given to the API: apps, config files, and the options of verbs.

/** Options of `new pm2.custom(...)`. */
export interface CustomOptions {
  /** Base of relative scripts and config files; default: the process's own. */
  cwd?: string
  /** Folder of sockets, logs and dump; default `$PM2_HOME`, else `~/.pm2`. */
  pm2_home?: string
  /** A home of its own under `/tmp`, and a daemon that ends with the process. Not together with `pm2_home`. */
  independent?: boolean
  /** `false`: a daemon launched by this instance ends when the process does. Default `true`. */
  daemon_mode?: boolean
  public_key?: string | null
  secret_key?: string | null
  machine_name?: string | null
}

export type ExecMode = 'fork' | 'cluster' | 'fork_mode' | 'cluster_mode'
/** Values of the environment; numbers and booleans become text, objects JSON. */
export type Env = { [name: string]: unknown }

/**
 * An app, as in `start({...})` or one entry of `apps` in a config file. Each option has its camelCase spelling too.
 * Times are milliseconds, sizes bytes, unless a unit is given as text.
 */
export interface StartOptions {
  // What to run
  /** File, folder or command to run. A relative file is relative to `cwd`. */
  script?: string
  /** Alias of `script`. */
  exec?: string
  /** Alias of `script`. */
  cmd?: string
  /** Alias of `script`. */
  command?: string
  /** Name in lists and for commands; default: the script's file name without extension. */
  name?: string
  /** Put before the name, with a colon. */
  name_prefix?: string
  namePrefix?: string
  /** Group for commands; default `default`. */
  namespace?: string
  /** Working directory; default: the instance's `cwd`. */
  cwd?: string
  /** Arguments of the script; a text is split at blanks, quotes respected. */
  args?: string | readonly (string | number)[]
  /** Script form: arguments of the script. */
  scriptArgs?: readonly string[]
  /** Script form: everything after `--` becomes arguments of the script. */
  rawArgs?: readonly string[]
  /**
   * Program that runs the script; `none`: the script runs itself; `node@20`: that Node of nvm, installed if missing.
   * Default: by the extension.
   */
  interpreter?: string
  /** Alias of `interpreter`. */
  exec_interpreter?: string
  execInterpreter?: string
  /** Arguments of the interpreter, before the script. */
  node_args?: string | readonly string[]
  nodeArgs?: string | readonly string[]
  /** Alias of `node_args`. */
  interpreter_args?: string | readonly string[]
  interpreterArgs?: string | readonly string[]
  /** `cluster`: workers share listening sockets (Node only). Default `fork`, or `cluster` when `instances` is given. */
  exec_mode?: ExecMode
  execMode?: ExecMode
  /** `true`: fork mode. */
  execute_command?: boolean
  executeCommand?: boolean
  /** How many processes; `'max'` or 0: one per CPU, -1: one less. Default 1. */
  instances?: number | string
  /** Variable that holds the number of the instance; default `NODE_APP_INSTANCE`. */
  instance_var?: string
  instanceVar?: string
  /** Variable that is one higher in each instance, such as `PORT`. */
  increment_var?: string
  incrementVar?: string
  /** User to run as, name or number; needs root. */
  uid?: string | number
  /** Alias of `uid`. */
  user?: string | number
  /** Group to run as, name or number; needs root. */
  gid?: string | number
  /** Who started it; informative only. */
  username?: string

  // Environment
  /** Variables of the app, over the inherited ones. */
  env?: Env
  /** Variables taken with `start(file, { env: '<name>' })`: `env_production`, ... */
  [env: `env_${string}`]: Env | undefined
  /** Inherited variables to leave out: names or parts of names; `true`: all of them. */
  filter_env?: boolean | string | readonly string[]
  filterEnv?: boolean | string | readonly string[]
  /** With a chosen environment: the name becomes `name-<env>`. */
  append_env_to_name?: boolean
  appendEnvToName?: boolean
  /** Sets `PORT`. */
  port?: number

  // Logs
  /** File of stdout; `/dev/null` or `NULL`: none. Default `$PM2_HOME/logs/<name>-out.log`. */
  out_file?: string
  outFile?: string
  /** Alias of `out_file`. */
  output?: string
  /** Alias of `out_file`. */
  out_log?: string
  /** Alias of `out_file`. */
  out?: string
  /** File of stderr. Default `$PM2_HOME/logs/<name>-error.log`. */
  error_file?: string
  errorFile?: string
  /** Alias of `error_file`. */
  error?: string
  /** Alias of `error_file`. */
  err_log?: string
  /** Alias of `error_file`. */
  err_file?: string
  /** Alias of `error_file`. */
  err?: string
  /** File of both streams; `true`: `$PM2_HOME/logs/<name>.log`. Default: none. */
  log_file?: boolean | string
  logFile?: boolean | string
  /** Alias of `log_file`. */
  log?: boolean | string
  /** File that holds the pid. Default `$PM2_HOME/pids/<name>-<id>.pid`. */
  pid_file?: string
  pidFile?: string
  /** Alias of `pid_file`. */
  pid?: string
  /** No `-<id>` in the names of log files: instances share them. Default `true` for a single fork process. */
  merge_logs?: boolean
  mergeLogs?: boolean
  /** Alias of `merge_logs`. */
  combine_logs?: boolean
  /** Output is thrown away. */
  disable_logs?: boolean
  disableLogs?: boolean
  /** `json`: one JSON object per line. */
  log_type?: string
  logType?: string
  /** Time stamp before each line, such as `YYYY-MM-DD HH:mm:ss.SSS Z`. */
  log_date_format?: string
  logDateFormat?: string
  /** `true`: time stamps in the format `YYYY-MM-DDTHH:mm:ss`. */
  time?: boolean
  /** Begin a new log file above this size: bytes, or `'10M'`. pm2-rs only. */
  log_max_size?: number | string
  logMaxSize?: number | string
  /** Begin a new log file after this time: ms, or `'1d'`, `'12h'`. pm2-rs only. */
  log_max_age?: number | string
  logMaxAge?: number | string
  /** How many old log files are kept. pm2-rs only. */
  log_keep?: number
  logKeep?: number
  /** Old log files are compressed. pm2-rs only. */
  log_compress?: boolean
  logCompress?: boolean

  // Restarts
  /** Start again when it ends by itself. Default `true`. */
  autorestart?: boolean
  /** `false`: added to the list as stopped. Default `true`. */
  autostart?: boolean
  /** Exit codes after which it is not started again. */
  stop_exit_codes?: number | string | readonly (number | string)[]
  stopExitCodes?: number | string | readonly (number | string)[]
  /** An exit sooner than this counts as unstable: ms, or `'5s'`, `'2m'`, `'1h'`. Default 1000. */
  min_uptime?: number | string
  minUptime?: number | string
  /** Unstable exits in a row before it is given up. Default 16. */
  max_restarts?: number
  maxRestarts?: number
  /** Pause before an automatic restart, in ms. Default 0. */
  restart_delay?: number
  restartDelay?: number
  /** First pause, in ms; grows by half each time up to 15 s. Default: none. */
  exp_backoff_restart_delay?: number
  expBackoffRestartDelay?: number
  /** Restart above this resident size: bytes, or `'300M'`, `'1G'`, `'500K'`. */
  max_memory_restart?: number | string
  maxMemoryRestart?: number | string
  /** Count the memory of all descendants, too. pm2-rs only. */
  max_memory_tree?: boolean
  maxMemoryTree?: boolean
  /** Restart at these times: a cron pattern of 5 or 6 fields. */
  cron_restart?: string | number
  cronRestart?: string | number
  /** Alias of `cron_restart`. */
  cron?: string | number
  /** Time zone of `cron_restart`, such as `Europe/Berlin`. pm2-rs only. */
  cron_tz?: string
  cronTz?: string

  // Stopping and starting
  /** Time between the stop signal and SIGKILL, in ms. Default 1600. */
  kill_timeout?: number
  killTimeout?: number
  /** How often pm2 looks at a stopping process. No effect in pm2-rs, which is told of an end at once. */
  kill_retry_time?: number
  killRetryTime?: number
  /** The message `shutdown` instead of a signal. */
  shutdown_with_message?: boolean
  shutdownWithMessage?: boolean
  /** Signal the descendants too. Default `true`. */
  treekill?: boolean
  /** Online only after `process.send('ready')`. */
  wait_ready?: boolean
  waitReady?: boolean
  /** Longest wait for readiness, in ms. Default 3000. */
  listen_timeout?: number
  listenTimeout?: number
  /** What becomes of an app that is not ready in time: `online`, as with pm2, or `error`. pm2-rs only. */
  ready_timeout?: 'online' | 'error'
  readyTimeout?: 'online' | 'error'
  /** Signal that asks the app to stop. Default: the daemon's, SIGINT. pm2-rs only. */
  kill_signal?: string
  killSignal?: string
  /** How many instances a reload replaces at once. pm2-rs only. */
  reload_parallel?: number
  reloadParallel?: number

  // Cluster mode
  /** Connections of one address go to the same instance. pm2-rs only. */
  sticky?: boolean
  /** `rr`, the default: handed out in turn; `shared` or `none`: all instances accept from one socket. pm2-rs only. */
  cluster_policy?: 'rr' | 'shared' | 'none'
  clusterPolicy?: 'rr' | 'shared' | 'none'

  // Watching
  /** Restart when files change: `true` for `cwd`, or files, folders and globs. */
  watch?: boolean | string | readonly string[]
  /** Globs to leave out. Default: hidden files and `node_modules`. */
  ignore_watch?: string | readonly string[]
  ignoreWatch?: string | readonly string[]
  /** How to watch: `usePolling`, `interval`, `followSymlinks`, `depth`, ... */
  watch_options?: { [option: string]: unknown }
  watchOptions?: { [option: string]: unknown }
  /** Pause between a change and the restart: ms; in the script form seconds. */
  watch_delay?: number | string
  watchDelay?: number | string

  // Rarely needed
  /** `true`: source maps are not switched on in the app. */
  disable_source_map_support?: boolean
  disableSourceMapSupport?: boolean
  source_map_support?: boolean
  sourceMapSupport?: boolean
  /** `false`: nothing of ours runs inside a fork app; no `process:exception` events. Default `true`. */
  pmx?: boolean | string
  /** `false`: same as `pmx: false`. Default `true`. */
  automation?: boolean
  /** Git data in the list; needs `PM2_ENABLE_GIT_PARSING=true`. Default `true`. */
  vizion?: boolean
  /** Script form: start even if it runs already. */
  force?: boolean
  /** Script form: write the options to `<name>-pm2.json` in the current directory. */
  write?: boolean
  /** Commands after a git pull. */
  post_update?: readonly string[]
  postUpdate?: readonly string[]
  install_url?: string
  installUrl?: string
  windowsHide?: boolean
  /** Text of configuration for the app, passed as `io`. */
  io?: { [key: string]: unknown }
  trace?: boolean
  disable_trace?: boolean
  disableTrace?: boolean
  v8?: boolean
  event_loop_inspector?: boolean
  eventLoopInspector?: boolean
  deep_monitoring?: boolean
  deepMonitoring?: boolean
}

/** Options beside a config file, an object or an array: they apply to the file as a whole. */
export interface ConfigFileOptions extends Omit<StartOptions, 'env'> {
  /** Which `env_<name>` to take. */
  env?: string | Env
  /** Only these apps: names separated by comma or blank. */
  only?: string
  /** Take the caller's whole environment over. */
  updateEnv?: boolean
  /** How many processes to act on at once. Default 2. */
  parallel?: number
}

/** Options of `restart` and `reload`: overrides, and how to do it. */
export interface RestartOptions extends ConfigFileOptions {}
export type ReloadOptions = RestartOptions

/** A static server of a config file. */
export interface StaticServer {
  name?: string
  path?: string
  port?: number
  host?: string
  spa?: boolean
  ftp?: boolean
  directory?: boolean
  basic_auth?: { username: string; password: string }
}

/** One target of `deploy`. */
export interface DeployTarget {
  user?: string
  host?: string | string[]
  ref?: string
  repo?: string
  path?: string
  key?: string
  env?: Env
  'pre-setup'?: string
  'post-setup'?: string
  'pre-deploy-local'?: string
  'pre-deploy'?: string
  'post-deploy'?: string
  [option: string]: unknown
}

/** What a config file holds. */
export interface Config {
  apps?: StartOptions | StartOptions[]
  /** Alias of `apps`. */
  pm2?: StartOptions | StartOptions[]
  deploy?: { [target: string]: DeployTarget }
  static?: StaticServer | StaticServer[]
}

export interface ServeOptions {
  /** Unknown paths get the home page. */
  spa?: boolean
  /** Directory listing. */
  ftp?: boolean
  directory?: boolean
  host?: string
  name?: string
  basicAuthUsername?: string
  basicAuthPassword?: string
  basic_auth?: { username: string; password: string }
  env?: Env
}

export interface InstallOptions {
  tarball?: boolean
  install?: boolean
  docker?: boolean
  v1?: boolean
  safe?: boolean | number
}

export interface StartupOptions {
  /** User the unit runs as. */
  user?: string
  /** Home directory of that user. */
  hp?: string
  /** Name of the unit; default `pm2-<user>`. */
  serviceName?: string
  waitIp?: boolean
}

export type Platform =
  | 'ubuntu'
  | 'centos'
  | 'arch'
  | 'oracle'
  | 'systemd'
  | 'ubuntu14'
  | 'ubuntu12'
  | 'upstart'
  | 'systemv'
  | 'amazon'
  | 'centos6'
  | 'redhat'
  | 'gentoo'
  | 'macos'
  | 'darwin'
  | 'launchd'
  | 'freebsd'
  | 'rcd'
  | 'openbsd'
  | 'rcd-openbsd'
  | 'openrc'
  | 'smf'
  | 'sunos'
  | 'solaris'

/** A name, namespace, id, `'all'`, `/pattern/`, or the path of a script or config file. */
export type Target = string | number
/** One app, several, or a whole configuration. */
export type Apps = StartOptions | readonly StartOptions[] | Config
/** What acts on apps as well. */
export type TargetOrApps = Target | Apps
