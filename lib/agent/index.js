'use strict'

// Runs inside the user's app: `node --require <this file> app.js`, Node 18 and newer, started by the daemon.
//
// Owns: telling the daemon the Node version, what exceptions the app dies of (contract/api.md 14.4) and its figures (`metrics.js`), and
// letting the connections of a cluster worker go that is replaced.
// Must never: break the app, keep it alive, change how it dies, or be inherited by what it starts.

const ENOUGH = 64 * 1024
const MAX_SOURCE = 4 * 1024 * 1024

try {
  install()
} catch {
  // The app comes first: without the agent it only loses its exceptions on the bus.
}

function install() {
  // A worker thread inherits `--require` but has no channel; neither has a child that the app starts by `spawn`.
  if (typeof process.send !== 'function' || !require('node:worker_threads').isMainThread) return
  forgetItself(process.execArgv)

  // Bound now: the app may put something else in its place.
  const send = process.send.bind(process)
  const env = process.env
  process.title = env.PROCESS_TITLE || `node ${env.pm_exec_path || process.argv[1] || ''}`.trimEnd()
  if (env.disable_source_map_support !== 'true' && typeof process.setSourceMapsEnabled === 'function') {
    process.setSourceMapsEnabled(true)
  }
  tell(send, { node_version: process.versions.node })

  const isCluster = env.exec_mode === 'cluster_mode'
  if (env.pmx !== 'false') measureLater(send)
  // A worker that wants no probe still must not lose requests when it is replaced, and pm2 hears its exceptions all the same.
  else if (!isCluster) return
  if (isCluster) process.on('internalMessage', (message) => onDrain(send, message))
  watchExceptions(send)
}

/**
 * What ends within a second is not measured, and does not even load what would measure it.
 * @param {(...args: any[]) => boolean} send
 */
function measureLater(send) {
  setTimeout(() => {
    try {
      require('./metrics.js').start((/** @type {object} */ message) => tell(send, message))
    } catch {
      // The package was removed meanwhile, or the app runs as somebody who may not read it.
    }
  }, 500).unref()
}

let isDraining = false
/** @type {any} held here: a channel that nobody holds is collected, and its subscribers with it (Node 18 and 20) */
let requests
const going = new WeakSet()

/**
 * This worker is being replaced and gets no new connections. Those it has are closed with their next answer: closed while
 * the client sends on them, they would lose a request. The daemon waits for our word, though not for long.
 * @param {(...args: any[]) => boolean} send
 * @param {any} message
 */
function onDrain(send, message) {
  if (message?.cmd !== 'NODE_PM2_DRAIN' || isDraining) return
  isDraining = true
  // Counted in turns of the event loop, not by the clock: in each of them what waits in the sockets is looked at. A process
  // that had no processor for a while would else take its own standstill for quiet.
  const [TURN, QUIET] = [5, 20]
  let quiet = 0
  requests = require('node:diagnostics_channel').channel('http.server.request.start')
  requests.subscribe((/** @type {any} */ { response }) => {
    quiet = 0
    response.shouldKeepAlive = false
  })
  const known = new WeakSet()
  const isQuiet = () => {
    const servers = serversWithConnections()
    for (const server of servers) {
      if (known.has(server) || !isHttp2(server)) continue
      known.add(server)
      server.prependListener('stream', (/** @type {any} */ stream) => {
        quiet = 0
        letSessionGo(stream.session)
      })
    }
    quiet += 1
    return quiet > QUIET || !servers.some((server) => isHttp2(server) || isHttp(server))
  }
  const timer = setInterval(() => {
    try {
      if (!isQuiet()) return
    } catch {
      // A server that is none: its connections get what time there is.
    }
    clearInterval(timer)
    tell(send, { type: 'pm2rs:drained', data: true })
  }, TURN)
  // A handler for the stop signal is promised to run: without connections the process would end before it comes.
  process.once('disconnect', () => {
    if (['SIGINT', 'SIGTERM', 'SIGQUIT', 'SIGHUP', 'SIGUSR2'].some((name) => process.listenerCount(name) > 0)) {
      setTimeout(() => {}, 5000)
    }
  })
}

/** @returns {any[]} */
function serversWithConnections() {
  // Node has no other way to ask for the servers of a process.
  const handles = /** @type {any} */ (process)._getActiveHandles?.() ?? []
  const servers = handles.map((/** @type {any} */ handle) => handle?.server)
  return [...new Set(servers)].filter((server) => typeof server === 'object' && server !== null)
}

const isHttp = (/** @type {any} */ server) => typeof server.closeIdleConnections === 'function'
const isHttp2 = (/** @type {any} */ server) => /^Http2(Secure)?Server$/.test(server.constructor?.name)

/**
 * Ends a session of HTTP/2 as RFC 9113 section 6.8 has it: first word that it will end, and when that must have arrived the
 * end itself, so that no request under way is among those that nobody looks at.
 * @param {any} session
 */
function letSessionGo(session) {
  if (session === undefined || going.has(session)) return
  going.add(session)
  const ARRIVED = 50
  try {
    session.goaway(0, 2 ** 31 - 1)
    setTimeout(() => session.close(), ARRIVED)
  } catch {
    // It is ending already.
  }
}

/**
 * Takes `--require <this file>` away, so that `child_process.fork`, `cluster.fork` and the like do not hand it on.
 * @param {string[]} execArgv
 */
function forgetItself(execArgv) {
  for (let index = execArgv.length - 1; index >= 0; index -= 1) {
    const [flag, inline] = splitOnce(execArgv[index])
    if (flag !== '--require' && flag !== '-r') continue
    const isPair = inline === undefined
    if (isItself(isPair ? execArgv[index + 1] : inline)) execArgv.splice(index, isPair ? 2 : 1)
  }
}

/**
 * @param {string} argument
 * @returns {[string, string | undefined]}
 */
function splitOnce(argument) {
  const at = argument.indexOf('=')
  return at === -1 ? [argument, undefined] : [argument.slice(0, at), argument.slice(at + 1)]
}

/** @param {string | undefined} file */
function isItself(file) {
  if (!file) return false
  try {
    return file === __filename || file === __dirname || require.resolve(file) === __filename
  } catch {
    return false
  }
}

/**
 * Sends without ever failing: an error of the channel goes to the callback, not to the app.
 * @param {(...args: any[]) => boolean} send
 * @param {object} message
 */
function tell(send, message) {
  try {
    if (process.connected) send(message, undefined, undefined, () => {})
  } catch {
    // The channel was closed just now, or the message cannot be written as JSON.
  }
}

/** @param {(...args: any[]) => boolean} send */
function watchExceptions(send) {
  /**
   * @param {unknown} error
   * @param {string} origin
   */
  const publish = (error, origin) => {
    try {
      tell(send, { type: 'process:exception', data: describe(error, origin) })
    } catch {
      // An error whose own properties throw.
    }
  }

  // Called before Node or the app's own listeners deal with it, and changes nothing about that. The write of a small
  // message into the channel happens within `send`, so it is out before the process ends.
  process.on('uncaughtExceptionMonitor', publish)

  // pm2 keeps a process with an unhandled rejection alive (contract/api.md 14.4), unless the user chose otherwise.
  const flags = [...process.execArgv, process.env.NODE_OPTIONS || ''].join(' ')
  if (flags.includes('--unhandled-rejections')) return
  const onRejection = (/** @type {unknown} */ reason) => {
    publish(reason, 'unhandledRejection')
    // A listener of the app's own decides alone.
    if (process.listenerCount('unhandledRejection') > 1) return
    try {
      process.stderr.write(`Unhandled promise rejection: ${require('node:util').inspect(reason)}\n`)
    } catch {
      // stderr is closed, or the reason cannot be shown.
    }
  }
  process.on('unhandledRejection', onRejection)
}

/**
 * @param {any} error anything can be thrown
 * @param {string} origin
 */
function describe(error, origin) {
  /** @type {Record<string, unknown>} */
  const data = {}
  const isObject = error !== null && (typeof error === 'object' || typeof error === 'function')
  if (isObject) {
    for (const key of Object.keys(error).slice(0, 32)) {
      const value = read(error, key)
      if (typeof value === 'string') data[key] = value.slice(0, ENOUGH)
      else if (typeof value === 'number' || typeof value === 'boolean') data[key] = value
    }
  }
  const message = isObject ? read(error, 'message') : error
  const stack = isObject ? read(error, 'stack') : undefined
  const name = isObject ? read(error, 'name') : undefined
  data.message = textOf(message ?? (isObject ? undefined : `No error but ${origin} was caught!`), error)
  data.stack = typeof stack === 'string' ? stack.slice(0, ENOUGH) : data.message
  data.name = typeof name === 'string' ? name : 'Error'
  const callsite = typeof stack === 'string' ? whereThrown(stack) : undefined
  if (callsite !== undefined) {
    data.callsite = `${callsite.file}:${callsite.line}`
    const context = sourceLine(callsite.file, callsite.line)
    if (context !== undefined) data.context = context
  }
  return data
}

/**
 * @param {any} object
 * @param {string} key
 */
function read(object, key) {
  try {
    return object[key]
  } catch {
    return undefined
  }
}

/**
 * @param {unknown} message
 * @param {unknown} error
 */
function textOf(message, error) {
  if (typeof message === 'string') return message.slice(0, ENOUGH)
  try {
    return require('node:util')
      .inspect(message ?? error, { depth: 1 })
      .slice(0, ENOUGH)
  } catch {
    return 'an error that cannot be shown'
  }
}

/**
 * The first frame that lies in a file of the app.
 * @param {string} stack
 */
function whereThrown(stack) {
  for (const frame of stack.slice(0, ENOUGH).split('\n')) {
    const found = /^\s+at (?:.*\()?(file:\/\/\/.+?|\/.+?|[A-Za-z]:\\.+?):(\d+)(?::\d+)?\)?$/.exec(frame)
    if (found === null) continue
    const file = found[1].startsWith('file:') ? require('node:url').fileURLToPath(found[1]) : found[1]
    return { file, line: Number(found[2]) }
  }
  return undefined
}

/**
 * @param {string} file
 * @param {number} line
 */
function sourceLine(file, line) {
  try {
    const fs = require('node:fs')
    const stat = fs.statSync(file)
    if (!stat.isFile() || stat.size > MAX_SOURCE) return undefined
    return fs.readFileSync(file, 'utf8').split('\n')[line - 1]?.trim().slice(0, 512)
  } catch {
    return undefined
  }
}
