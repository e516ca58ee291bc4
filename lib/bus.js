'use strict'

// Owns: the object that `launchBus` gives: who listens to what (contract/api.md 14.1, 14.2). The connection, its
// reconnecting and the frames are the addon's.

const { EventEmitter } = require('node:events')

/** The other half of a bus: `connect`, `close`, `reconnect attempt`, `error` of the connection. */
class BusSocket extends EventEmitter {
  /** @param {() => void} close */
  constructor(close) {
    super()
    this.connected = false
    this.close = close
  }
}

class Bus {
  /**
   * @param {(onEvents: (batchJson: string) => void) => { close(): void }} subscribe
   * @param {() => void} onClose
   */
  constructor(subscribe, onClose) {
    let closed = false
    /** @type {{ event: string | RegExp, re: RegExp, fn: (...args: any[]) => void }[]} */
    this.listeners = []
    /** @returns {Bus} */
    this.close = () => {
      if (closed) return this
      closed = true
      subscription.close()
      this.sock.connected = false
      onClose()
      deliver(() => this.sock.emit('close'))
      return this
    }
    // pm2's bus could also be bound or connected elsewhere; ours belongs to its home.
    this.connect = () => this
    this.bind = () => this
    this.sock = new BusSocket(() => void this.close())
    const subscription = subscribe((batch) => {
      if (!closed) this.receive(JSON.parse(batch), () => closed)
    })
  }

  /**
   * Listens to an event: a name in which `*` stands for one or more characters, or a RegExp. The listener gets what
   * the stars or groups caught, then the payload.
   * @param {string | RegExp} event
   * @param {(...args: any[]) => void} fn
   */
  on(event, fn) {
    if (typeof fn !== 'function') throw new TypeError('the listener of a bus event must be a function')
    this.listeners.push({ event, re: toRegExp(event), fn })
    return this
  }

  /**
   * Takes away all listeners that were added with this very event.
   * @param {string | RegExp} event
   */
  off(event) {
    this.listeners = this.listeners.filter((listener) => String(listener.event) !== String(event))
    return this
  }

  /**
   * Gives one event to its listeners.
   * @param {string} event
   * @param {unknown[]} args
   */
  onmessage(event, ...args) {
    for (const { re, fn } of [...this.listeners]) {
      re.lastIndex = 0
      const match = re.exec(event)
      if (match !== null) deliver(() => fn(...match.slice(1), ...args))
    }
  }

  /**
   * @param {[string, unknown][]} events
   * @param {() => boolean} isClosed
   */
  receive(events, isClosed) {
    for (const [topic, payload] of events) {
      if (isClosed()) return
      if (!topic.startsWith(':')) this.onmessage(topic, payload)
      else this.connectionChanged(topic.slice(1))
    }
  }

  /** @param {string} what `connect`, `close`, `reconnect attempt` (src/binding/client.rs) */
  connectionChanged(what) {
    if (what === 'connect') this.sock.connected = true
    if (what === 'close') this.sock.connected = false
    deliver(() => this.sock.emit(what))
  }
}

/**
 * What a listener throws is its program's uncaught exception; the other listeners and events are not lost by it.
 * @param {() => void} call
 */
function deliver(call) {
  try {
    call()
  } catch (error) {
    process.nextTick(() => {
      throw error
    })
  }
}

/**
 * @param {string | RegExp} event
 * @returns {RegExp}
 */
function toRegExp(event) {
  if (event instanceof RegExp) return event
  const literal = String(event).replace(/[\\^$.|?+()[\]{}]/g, '\\$&')
  return new RegExp(`^${literal.replace(/\*/g, '(.+)')}$`)
}

module.exports = { Bus }
