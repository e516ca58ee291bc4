'use strict'

// Owns: `pm2._conf`, the values that programs read (contract/options.md sections 11.1, 12 and 13). Nothing of pm2-rs
// reads them: the addon and the daemon have their own.

const path = require('node:path')

/**
 * @param {string} home
 * @param {NodeJS.ProcessEnv} env
 * @returns {Record<string, any>}
 */
function constants(home, env) {
  const isWindows = process.platform === 'win32'
  /** @param {string} file */
  const at = (file) => path.join(home, file)
  /** @type {Record<string, string>} */
  const paths = {
    PM2_CONF_FILE: at('conf.js'),
    PM2_MODULE_CONF_FILE: at('module_conf.json'),
    PM2_LOG_FILE_PATH: at('pm2.log'),
    PM2_PID_FILE_PATH: at('pm2.pid'),
    PM2_RELOAD_LOCKFILE: at('reload.lock'),
    DEFAULT_PID_PATH: at('pids'),
    DEFAULT_LOG_PATH: at('logs'),
    DEFAULT_MODULE_PATH: at('modules'),
    PM2_IO_ACCESS_TOKEN: at('pm2-io-token'),
    DUMP_FILE_PATH: at('dump.pm2'),
    DUMP_BACKUP_FILE_PATH: at('dump.pm2.bak'),
    DAEMON_RPC_PORT: isWindows ? '\\\\.\\pipe\\rpc.sock' : at('rpc.sock'),
    DAEMON_PUB_PORT: isWindows ? '\\\\.\\pipe\\pub.sock' : at('pub.sock'),
    INTERACTOR_RPC_PORT: isWindows ? '\\\\.\\pipe\\interactor.sock' : at('interactor.sock'),
    INTERACTOR_LOG_FILE_PATH: at('agent.log'),
    INTERACTOR_PID_PATH: at('agent.pid'),
    INTERACTION_CONF: at('agent.json5'),
  }
  for (const key of Object.keys(paths)) {
    paths[key] = env[key.startsWith('PM2_') ? key : `PM2_${key}`] || paths[key]
  }
  return {
    ONLINE_STATUS: 'online',
    STOPPED_STATUS: 'stopped',
    STOPPING_STATUS: 'stopping',
    WAITING_RESTART: 'waiting restart',
    LAUNCHING_STATUS: 'launching',
    ERRORED_STATUS: 'errored',
    ONE_LAUNCH_STATUS: 'one-launch-status',
    CLUSTER_MODE_ID: 'cluster_mode',
    FORK_MODE_ID: 'fork_mode',
    SUCCESS_EXIT: 0,
    ERROR_EXIT: 1,
    APP_CONF_DEFAULT_FILE: 'ecosystem.config.js',
    DEFAULT_MODULE_JSON: 'package.json',
    MODULE_CONF_PREFIX: 'module-db-v2',
    MODULE_CONF_PREFIX_TAR: 'tar-modules',
    PREFIX_MSG: '\u001b[32m[PM2] \u001b[39m',
    PREFIX_MSG_ERR: '\u001b[31m[PM2][ERROR] \u001b[39m',
    PREFIX_MSG_WARNING: '\u001b[33m[PM2][WARN] \u001b[39m',
    PREFIX_MSG_INFO: '\u001b[34m[PM2][INFO] \u001b[39m',
    PREFIX_MSG_MOD: '\u001b[32m[PM2][Module] \u001b[39m',
    // What the environment gives stays text, as in pm2.
    KILL_TIMEOUT: env.PM2_KILL_TIMEOUT || 1600,
    KILL_RETRY_TIME: env.PM2_KILL_RETRY_TIME || 100,
    KILL_SIGNAL: env.PM2_KILL_SIGNAL || 'SIGINT',
    KILL_USE_MESSAGE: env.PM2_KILL_USE_MESSAGE || false,
    GRACEFUL_TIMEOUT: Number(env.PM2_GRACEFUL_TIMEOUT) || 8000,
    GRACEFUL_LISTEN_TIMEOUT: Number(env.PM2_GRACEFUL_LISTEN_TIMEOUT) || 3000,
    RELOAD_LOCK_TIMEOUT: Number(env.PM2_RELOAD_LOCK_TIMEOUT) || 30000,
    WORKER_INTERVAL: env.PM2_WORKER_INTERVAL || 30000,
    CONCURRENT_ACTIONS: Number(env.PM2_CONCURRENT_ACTIONS) || 2,
    EXP_BACKOFF_RESET_TIMER: Number(env.EXP_BACKOFF_RESET_TIMER) || 30000,
    WEB_PORT: Number(env.PM2_API_PORT) || 9615,
    WEB_IPADDR: env.PM2_API_IPADDR || '0.0.0.0',
    PM2_LOG_DATE_FORMAT: env.PM2_LOG_DATE_FORMAT ?? 'YYYY-MM-DDTHH:mm:ss',
    PM2_PROGRAMMATIC: Boolean(env.PM2_PROGRAMMATIC || env.pm_id),
    ENABLE_GIT_PARSING: env.PM2_ENABLE_GIT_PARSING === 'true',
    LOW_MEMORY_ENVIRONMENT: Boolean(env.PM2_OPTIMIZE_MEMORY),
    IS_WINDOWS: isWindows,
    IS_BUN: process.versions.bun !== undefined,
    PM2_HOME: home,
    PM2_ROOT_PATH: home,
    ...paths,
  }
}

module.exports = { constants }
