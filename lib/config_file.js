'use strict'

// Owns: config files that are programs (`*.config.js`, `.cjs`, `.mjs`, `.ts`): evaluating them afresh.
// JSON and YAML files are data, and `src/config` reads them, but for `.json` files that are no JSON.

const { existsSync, readFileSync } = require('node:fs')
const path = require('node:path')
const { pathToFileURL } = require('node:url')
const { types } = require('node:util')
const vm = require('node:vm')

/** Who waits for an answer is told within five seconds; a config that asks the network for longer says so here. */
const SECONDS = Number(process.env.PM2_RS_CONFIG_TIMEOUT) || 4
const PROGRAM = /\.config\.[cm]?[jt]s$/i
let evaluations = 0

/** @typedef {{ seconds: number, end: number }} Limit for all of it together; `end` in ms of `Date.now()` */

/**
 * Whether this text names a config file that is a program.
 * @param {unknown} text
 * @returns {text is string}
 */
function isProgram(text) {
  return typeof text === 'string' && PROGRAM.test(text)
}

/**
 * What a config file holds: its default export unwrapped, called if it is a function, awaited. Who loops for ever is
 * stopped: code that cannot wait is run here under the timer of `vm`, which ends a loop wherever it is; all other code in a
 * thread of its own, since nothing ends a loop between two ticks of this one.
 * @param {string} file an absolute path
 * @param {{ seconds?: number }} [limits]
 * @returns {Promise<unknown>}
 */
async function evaluate(file, { seconds = SECONDS } = {}) {
  if (!existsSync(file)) {
    throw Object.assign(new Error(`ENOENT: no such file or directory, open '${file}'`), {
      errno: -2,
      code: 'ENOENT',
      syscall: 'open',
      path: file,
    })
  }
  const limit = { seconds, end: Date.now() + seconds * 1000 }
  if (/\.[cm]?ts$/.test(file)) assertTypeScript(file, path.extname(file))
  if (isModule(file, path.extname(file)) || mayWait(file)) return inThread(file, limit)
  try {
    return await checked(
      file,
      guarded(() => call(requireAfresh(file)), file, limit),
      limit,
    )
  } catch (error) {
    if (error !== IS_MODULE && !isModuleSyntax(error)) throw named(error, file)
    return inThread(file, limit)
  }
}

/** Thrown for what `require` found to be an ES module: Node keeps it in a cache of its own. */
const IS_MODULE = Symbol('ES module')

/**
 * The same without a guard against loops: for the thread.
 * @param {string} file
 * @param {Limit} limit
 */
async function evaluateUnguarded(file, limit) {
  let exported
  try {
    exported = isModule(file, path.extname(file)) ? await importFile(file) : requireAfresh(file)
  } catch (error) {
    if (error !== IS_MODULE && !isModuleSyntax(error)) throw named(error, file)
    exported = await importFile(file)
  }
  return checked(file, call(await exported), limit)
}

/** @param {unknown} exported */
function call(exported) {
  return typeof exported === 'function' ? exported() : exported
}

/**
 * @param {string} file
 * @param {unknown} value
 * @param {Limit} limit
 */
async function checked(file, value, limit) {
  const config = await inTime(value, file, limit)
  if (config === null || typeof config !== 'object') {
    throw Object.assign(
      new Error(`${file} must export an object with \`apps\`, an array of apps, or a function that returns one`),
      { code: 'INVALID_CONFIG' },
    )
  }
  return config
}

/**
 * Whether something in this file may run later than its own evaluation.
 * @param {string} file
 */
function mayWait(file) {
  const text = readFileSync(file, 'utf8')
  return /\b(async|await|Promise|then|setTimeout|setImmediate|setInterval|nextTick|queueMicrotask|import)\b/.test(text)
}

/**
 * Runs something that does not wait, for no longer than the limit.
 * @param {() => unknown} work
 * @param {string} file
 * @param {Limit} limit
 */
function guarded(work, file, limit) {
  const key = Symbol.for('pm2-rs.config')
  const script = new vm.Script(`globalThis[Symbol.for('pm2-rs.config')]()`, { filename: file })
  Object.defineProperty(globalThis, key, { value: work, configurable: true })
  try {
    return script.runInThisContext({ timeout: Math.max(1, limit.end - Date.now()), displayErrors: false })
  } catch (error) {
    if (/** @type {any} */ (error)?.code !== 'ERR_SCRIPT_EXECUTION_TIMEOUT') throw error
    // What was stopped had no chance to clean up.
    delete require.cache[require.resolve(file)]
    throw tooLate(file, limit)
  } finally {
    Reflect.deleteProperty(globalThis, key)
  }
}

/**
 * @param {string} file
 * @param {Limit} limit
 * @returns {Promise<unknown>}
 */
async function inThread(file, limit) {
  const { SHARE_ENV, Worker } = require('node:worker_threads')
  const worker = new Worker(path.join(__dirname, 'config_worker.js'), {
    env: SHARE_ENV,
    execArgv: loaders(process.execArgv),
    workerData: { file, limit, argv: process.argv, quiet: console.log === console.error },
  })
  /** @type {Promise<{ text?: string, error?: any, code?: string }>} */
  const answered = new Promise((resolve, reject) => {
    worker.once('message', resolve)
    worker.once('error', reject)
    worker.once('exit', (code) => {
      reject(new Error(`${file} ended its process (exit code ${code}) instead of exporting a configuration`))
    })
  })
  try {
    const { text, error, code } = await inTime(answered, file, limit)
    if (text !== undefined) return JSON.parse(text)
    // A thread cannot change the directory or the user of its process.
    if (code === 'ERR_WORKER_UNSUPPORTED_OPERATION') return await evaluateUnguarded(file, limit)
    throw code === undefined ? error : Object.assign(error, { code })
  } finally {
    answered.catch(() => {})
    worker.terminate()
  }
}

/**
 * Those of Node's arguments that say how files are loaded; others a thread may not have.
 * @param {string[]} argv
 */
function loaders(argv) {
  const known = /^(-r|--require|--import|--loader|--experimental-loader|-C|--conditions)(=|$)/
  return argv.flatMap((word, index) => {
    if (/^--(experimental-(strip|transform)-types|no-warnings)$/.test(word)) return [word]
    if (!known.test(word)) return []
    return word.includes('=') ? [word] : [word, argv[index + 1] ?? '']
  })
}

/**
 * The same as JSON text, for the CLI.
 * @param {string} file
 */
async function evaluateToJson(file) {
  return JSON.stringify(await evaluate(path.resolve(file)))
}

/** @param {string} file */
function requireAfresh(file) {
  // Like pm2, which reads JSON as an expression; most of it is read without coming here.
  if (file.endsWith('.json')) return vm.runInThisContext(`(${readFileSync(file, 'utf8')}\n)`, { filename: file })
  const resolved = require.resolve(file)
  delete require.cache[resolved]
  const exported = require(resolved)
  delete require.cache[resolved]
  if (types.isModuleNamespaceObject(exported)) throw IS_MODULE
  return unwrap(exported)
}

/**
 * A syntax error does not say where it is; every other error is the config's own.
 * @param {unknown} error
 * @param {string} file
 */
function named(error, file) {
  if (!(error instanceof SyntaxError) || error.message.includes(file)) return error
  // The stack of one begins with the place.
  const place = String(error.stack).split('\n')[0]
  error.message = `${/:\d+$/.test(place) && place.startsWith(file) ? place : file}: ${error.message}`
  return error
}

/** @param {string} file */
async function importFile(file) {
  evaluations += 1
  return unwrap(await import(`${pathToFileURL(file).href}?evaluation=${process.pid}-${evaluations}`))
}

/**
 * @param {any} exported
 * @returns {unknown}
 */
function unwrap(exported) {
  if (exported === null || typeof exported !== 'object') return exported
  const wrapped = types.isModuleNamespaceObject(exported) || exported.__esModule === true
  if (wrapped && 'default' in exported) return exported.default
  return wrapped ? { ...exported } : exported
}

/**
 * @param {string} file
 * @param {string} extension
 */
function isModule(file, extension) {
  if (/^\.m[jt]s$/.test(extension)) return true
  if (/^\.c[jt]s$/.test(extension)) return false
  for (let folder = path.dirname(file); ; folder = path.dirname(folder)) {
    const manifest = path.join(folder, 'package.json')
    if (existsSync(manifest)) {
      try {
        return JSON.parse(readFileSync(manifest, 'utf8')).type === 'module'
      } catch {
        return false
      }
    }
    if (folder === path.dirname(folder)) return false
  }
}

/** @param {unknown} error */
function isModuleSyntax(error) {
  const { code, message } = /** @type {{ code?: string, message?: string }} */ (error ?? {})
  if (code === 'ERR_REQUIRE_ESM' || code === 'ERR_REQUIRE_ASYNC_MODULE') return true
  return error instanceof SyntaxError && /import statement|import\.meta|Unexpected token 'export'/.test(message ?? '')
}

/**
 * @param {string} file
 * @param {string} extension
 */
function assertTypeScript(file, extension) {
  const native = /** @type {{ features: { typescript?: string | false } }} */ (process).features.typescript
  if (native || require.extensions[extension] !== undefined || process.versions.bun !== undefined) return
  throw Object.assign(
    new Error(
      `${file} is TypeScript, which this Node (${process.version}) cannot run: use Node 22.18 or newer, ` +
        'or a .config.js file',
    ),
    { code: 'INVALID_CONFIG' },
  )
}

/**
 * @param {string} file
 * @param {Limit} limit
 */
function tooLate(file, { seconds }) {
  const message = `${file} was not evaluated within ${seconds} s: it loops, or awaits something that never ends`
  return Object.assign(new Error(message), { code: 'CONFIG_TIMEOUT' })
}

/**
 * @template T
 * @param {T | Promise<T>} work
 * @param {string} file
 * @param {Limit} limit
 * @returns {Promise<T>}
 */
async function inTime(work, file, limit) {
  /** @type {NodeJS.Timeout | undefined} */
  let timer
  /** @type {Promise<never>} */
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(tooLate(file, limit)), Math.max(0, limit.end - Date.now()))
  })
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}

module.exports = { isProgram, evaluate, evaluateToJson, evaluateUnguarded }
