'use strict'

// Owns: finding and loading the addon, and where the daemon's executable is, which it must never start (the addon does).
// Loaded at the first call, never at `require('pm2-rs')`.
// The loader that napi generates asks `process.report` which libc this is, which takes longer than the load itself; here
// the likely file is simply tried, and the other libc's only when it does not load.

const { existsSync } = require('node:fs')
const path = require('node:path')

const root = path.join(__dirname, '..')

/** @typedef {{ close(): void }} NativeSubscription */
/**
 * @typedef {object} NativeClient
 * @property {(actionJson: string) => Promise<string>} run
 * @property {() => Promise<string>} disconnect
 * @property {(onEvents: (batchJson: string) => void) => NativeSubscription} subscribe
 */
/**
 * @typedef {object} Native
 * @property {new (optionsJson: string) => NativeClient} NativeClient
 * @property {(program: string, args: string[], env: string[]) => void} becomeProgram
 * @property {(argvJson: string, contextJson: string, loadConfig: (file: string) => Promise<string>, leave?: boolean) => Promise<number>} runCli
 */

/** @type {Native | undefined} */
let loaded
let loadedFrom = ''

/**
 * Which platforms' files to try here, the likeliest first.
 * @returns {string[]} such as `linux-x64-gnu`
 */
function platforms() {
  const machine = `${process.platform}-${process.arch}`
  if (process.platform === 'win32') return [`${machine}-msvc`]
  if (process.platform !== 'linux') return [machine]
  const gnuFirst = !existsSync('/etc/alpine-release')
  return gnuFirst ? [`${machine}-gnu`, `${machine}-musl`] : [`${machine}-musl`, `${machine}-gnu`]
}

/**
 * The addon.
 * @returns {Native}
 */
function load() {
  if (loaded !== undefined) return loaded
  /** @type {string[]} */
  const tried = []
  const override = process.env.NAPI_RS_NATIVE_LIBRARY_PATH
  const requests = override
    ? [override]
    : platforms().flatMap((platform) => [path.join(root, `pm2-rs.${platform}.node`), `@pm2-rs/native-${platform}`])
  for (const request of requests) {
    if (path.isAbsolute(request) && !existsSync(request)) {
      tried.push(`${request}: no such file`)
      continue
    }
    try {
      loadedFrom = path.isAbsolute(request) ? request : require.resolve(request)
      loaded = /** @type {Native} */ (loadedFrom.endsWith('.node') ? opened(loadedFrom) : require(loadedFrom))
      return loaded
    } catch (error) {
      tried.push(`${request}: ${String(/** @type {Error} */ (error).message).split('\n')[0]}`)
    }
  }
  throw Object.assign(
    new Error(
      `cannot load the native part of pm2-rs for ${process.platform} ${process.arch}. Tried:\n  ${tried.join('\n  ')}\n` +
        'Reinstall pm2-rs without --no-optional (--omit=optional): the platform packages are optional dependencies.',
    ),
    { code: 'NATIVE_NOT_FOUND' },
  )
}

// What `require` does for such a file, without its search, which is a fifth of the time.
/** @param {string} file */
function opened(file) {
  const addon = { exports: {} }
  process.dlopen(addon, file)
  return addon.exports
}

/** The addon's path: the command line is in it, also without Node. */
function file() {
  load()
  return loadedFrom
}

/**
 * The daemon's executable: `PM2_RS_DAEMON`, the package's own, then the platform package's.
 * @returns {string} an absolute path
 */
function findPm2d() {
  const tried = []
  const fromEnv = process.env.PM2_RS_DAEMON
  if (fromEnv) {
    const file = path.resolve(fromEnv)
    if (existsSync(file)) return file
    throw notFound([`${file} (from PM2_RS_DAEMON)`])
  }
  const name = process.platform === 'win32' ? 'pm2d.exe' : 'pm2d'
  for (const file of [path.join(root, name), path.join(root, 'bin', name)]) {
    if (existsSync(file)) return file
    tried.push(file)
  }
  for (const platform of platforms()) {
    const request = `@pm2-rs/native-${platform}/${name}`
    try {
      return require.resolve(request)
    } catch {
      tried.push(request)
    }
  }
  throw notFound(tried)
}

/** @param {string[]} tried */
function notFound(tried) {
  return Object.assign(
    new Error(
      `cannot find the pm2-rs daemon (pm2d). Tried: ${tried.join(', ')}. ` +
        'Reinstall pm2-rs without --no-optional (--omit=optional), or name the executable in PM2_RS_DAEMON.',
    ),
    { code: 'DAEMON_NOT_FOUND' },
  )
}

/**
 * Tests only: puts another object in the addon's place; `undefined` takes it away again.
 * @param {Native | undefined} native
 */
function use(native) {
  loaded = native
}

module.exports = { load, file, findPm2d, use, root }
