'use strict'

// Owns: the addon's client of one home, what keeps the caller's process alive, and the open buses.
// Must never: start anything before the first call, or keep the process alive once it is closed.

const path = require('node:path')

// Taken at load, before a test framework puts fake timers in their place.
const { setInterval, clearInterval, setTimeout, clearTimeout } = globalThis
const FOREVER = 2 ** 30
/** How long a bus may take to end by itself, in ms. */
const LAST_WORDS = 500

/** @param {import('node:events').EventEmitter} emitter @param {string} event */
const once = (emitter, event) => new Promise((resolve) => emitter.once(event, resolve))

/** @typedef {InstanceType<typeof import('./bus.js').Bus>} Bus */
/**
 * @typedef {object} ConnectionOptions
 * @property {string} home
 * @property {boolean} daemonMode
 */

class Connection {
  /** @param {() => ConnectionOptions} options asked at the first call, since `connect(true)` may still change them */
  constructor(options) {
    this.options = options
    /** @type {'new' | 'open' | 'closed'} */
    this.state = 'new'
    /** @type {Set<Bus>} */
    this.buses = new Set()
    /** @type {import('./native.js').NativeClient | undefined} */
    this.client = undefined
    this.daemonMode = true
    this.pending = 0
    /** @type {NodeJS.Timeout | undefined} */
    this.alive = undefined
    /** @type {Error | undefined} */
    this.launchProblem = undefined
  }

  /**
   * Carries out one action of `src/client/action.rs`; connects (and launches a daemon) by itself.
   * @param {Record<string, unknown> & { action: string }} action
   * @returns {Promise<any>}
   */
  async run(action) {
    const request = JSON.stringify(action)
    this.pending += 1
    this.keepAlive()
    try {
      const answer = readAnswer(await this.native().run(request), this.launchProblem)
      const result = action.action === 'list' ? require('./expand.js').expand(answer) : answer
      if (action.action === 'killDaemon' || action.action === 'destroy') await this.ended()
      else if (action.action !== 'pingDaemon') this.state = 'open'
      return result
    } finally {
      this.pending -= 1
      this.keepAlive()
    }
  }

  /**
   * Closes the connection and every bus.
   * @returns {Promise<void>}
   */
  async disconnect() {
    if (this.state !== 'open' && this.buses.size === 0) {
      // pm2's two texts (contract/api.md 4.5).
      const message = this.state === 'new' ? 'SUB connection to PM2 is not launched' : 'RPC already being closed'
      throw Object.assign(new Error(message), { code: 'NOT_CONNECTED' })
    }
    const client = this.client
    this.closed()
    if (client !== undefined) await client.disconnect()
  }

  /**
   * Opens one more bus; it connects by itself as soon as there is a daemon, and launches none.
   * @returns {Bus}
   */
  openBus() {
    const { Bus } = require('./bus.js')
    const native = this.native()
    const bus = new Bus(
      (onEvents) => native.subscribe(onEvents),
      () => {
        this.buses.delete(bus)
        this.keepAlive()
      },
    )
    this.buses.add(bus)
    this.keepAlive()
    return bus
  }

  /**
   * @returns {Promise<Bus>} once it is connected, however long that takes
   */
  async connectBus() {
    const bus = this.openBus()
    if (!bus.sock.connected) await once(bus.sock, 'connect')
    return bus
  }

  /** Closes the connection, but no bus. */
  async disconnectRpc() {
    if (this.state !== 'open' || this.client === undefined) {
      throw Object.assign(new Error('RPC already being closed'), { code: 'NOT_CONNECTED' })
    }
    this.state = 'closed'
    this.keepAlive()
    await this.client.disconnect()
  }

  // The daemon is gone, but its last words (`pm2:kill`) may still be on their way to a bus.
  async ended() {
    this.state = 'closed'
    const last = [...this.buses].filter(({ sock }) => sock.connected).map(({ sock }) => once(sock, 'close'))
    if (last.length > 0) {
      /** @type {NodeJS.Timeout | undefined} */
      let timer
      const late = new Promise((resolve) => {
        timer = setTimeout(resolve, LAST_WORDS)
      })
      await Promise.race([Promise.all(last), late])
      clearTimeout(timer)
    }
    this.closed()
  }

  closed() {
    this.state = 'closed'
    for (const bus of [...this.buses]) bus.close()
    this.keepAlive()
  }

  /** @returns {import('./native.js').NativeClient} */
  native() {
    const { home, daemonMode } = this.options()
    // `connect(true)` comes after the instance was made; a connection that is open stays as it is.
    if (this.client !== undefined && (daemonMode === this.daemonMode || this.state === 'open')) return this.client
    const native = require('./native.js')
    const { NativeClient } = native.load()
    let pm2d = ''
    try {
      pm2d = native.findPm2d()
    } catch (error) {
      // Only told when a daemon has to be launched: one that runs may be used without.
      this.launchProblem = /** @type {Error} */ (error)
    }
    this.daemonMode = daemonMode
    this.client = new NativeClient(
      JSON.stringify({ home: path.resolve(home), daemonMode, pm2d, agent: path.join(__dirname, 'agent') }),
    )
    return this.client
  }

  // As with pm2, an open connection keeps the process alive until `disconnect`. The addon itself never does.
  keepAlive() {
    const wanted = this.state === 'open' || this.pending > 0 || this.buses.size > 0
    if (wanted && this.alive === undefined) {
      this.alive = setInterval(() => {}, FOREVER)
    } else if (!wanted && this.alive !== undefined) {
      clearInterval(this.alive)
      this.alive = undefined
    }
  }
}

/**
 * A start of several apps of which some failed (contract/api.md section 3): callbacks get the array and the list.
 */
class StartFailure extends Error {
  /**
   * @param {Error[]} errors
   * @param {unknown} partial what did start
   */
  constructor(errors, partial) {
    super(errors.map((error) => error.message).join(', '))
    this.errors = errors
    this.partial = partial
    /** @type {string | undefined} */
    this.code = /** @type {{code?: string} | undefined} */ (errors[0])?.code
  }
}

/**
 * @typedef {object} Failure
 * @property {string} message
 * @property {string} [code]
 * @property {string} [stack]
 * @property {unknown} [value]
 * @property {Failure[]} [errors]
 * @property {unknown} [partial]
 */

/**
 * @param {string} text
 * @param {Error | undefined} launchProblem
 */
function readAnswer(text, launchProblem) {
  const answer = JSON.parse(text)
  if (answer.error === undefined) return answer.ok
  /** @type {Failure} */
  const failure = answer.error
  if (failure.code === 'DAEMON_NOT_LAUNCHED' && launchProblem !== undefined) throw launchProblem
  if (Array.isArray(failure.errors)) throw new StartFailure(failure.errors.map(toError), failure.partial ?? [])
  throw toError(failure)
}

/**
 * @param {Failure} failure
 * @returns {Error}
 */
function toError({ message, stack, errors, partial, ...rest }) {
  // `rest`: `code`, `value`, and `errno`, `syscall`, `path` of a file that cannot be read.
  const error = Object.assign(new Error(message), rest)
  if (stack) error.stack = stack
  return error
}

module.exports = { Connection, StartFailure }
