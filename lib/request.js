'use strict'

// Owns: turning arguments into the actions of `src/client/action.rs`: targets, and who calls.

const path = require('node:path')

const PROGRAM = /\.config\.[cm]?[jt]s$/i

/**
 * What a verb acts on: a name, an id, apps, or a config file. Config files that are programs are evaluated here; all
 * others are read by the addon.
 * @param {string} action
 * @param {unknown} target
 * @param {string} cwd what relative files are relative to
 * @returns {unknown} or a promise of it, in the case of a program only: objects have to be read before the caller
 *   changes them
 */
function resolveTarget(action, target, cwd) {
  if (target !== null && typeof target === 'object') {
    // An empty object or array names nothing that could be stopped.
    const isEmpty = Object.keys(target).length === 0
    return isEmpty && (action === 'stop' || action === 'delete') ? null : { config: target }
  }
  if (typeof target !== 'string' || !PROGRAM.test(target)) return plain(target)
  const file = path.resolve(cwd, target)
  // An app may bear a file's name (Q44).
  if (action !== 'start' && !require('node:fs').existsSync(file)) return target
  return require('./config_file.js')
    .evaluate(file)
    .then((/** @type {unknown} */ config) => ({ config, file }))
}

/**
 * Who calls, now: relative paths and inherited variables come from here.
 * @param {string} instanceCwd
 */
function contextOf(instanceCwd) {
  const cwd = currentFolder()
  /** @type {Record<string, string>} */
  const env = {}
  for (const [name, value] of Object.entries(process.env)) if (value !== undefined) env[name] = String(value)
  return {
    cwd,
    instanceCwd: instanceCwd === cwd ? undefined : instanceCwd,
    env,
    node: process.execPath,
    nodeVersion: process.versions.node,
    programmatic: true,
  }
}

// The folder that a program was started in may be gone.
function currentFolder() {
  try {
    return process.cwd()
  } catch {
    return process.env.PWD || '/'
  }
}

function defaultHome() {
  if (process.env.PM2_HOME) return process.env.PM2_HOME
  const home = process.env.HOME || require('node:os').homedir()
  return home ? path.join(home, '.pm2') : '/etc/.pm2'
}

/**
 * What JSON cannot say becomes `null`, so that no argument is missing.
 * @param {unknown} value
 */
function plain(value) {
  const type = typeof value
  return value === undefined || type === 'function' || type === 'symbol' ? null : value
}

/**
 * @param {unknown} action a daemon's method such as `restartProcessId`, or a verb
 * @returns {string}
 */
function verbOf(action) {
  const name = String(action).replace(/ProcessId$/, '')
  if (['start', 'restart', 'reload', 'stop', 'delete'].includes(name)) return name
  if (name === 'softReload') return 'reload'
  throw Object.assign(new Error(`unknown action ${String(action)}`), { code: 'UNKNOWN_ACTION' })
}

module.exports = { resolveTarget, contextOf, currentFolder, defaultHome, plain, verbOf }
