'use strict'

// What a Node app is measured by from the inside: once a second, told to the daemon as `axm:monitor` (contract/api.md 15.3).
//
// Owns: the figures, under pm2's names, with its units and types.
// Must never: keep the app alive, throw into it, or listen to each request of a busy server.

const { channel } = require('node:diagnostics_channel')
const { performance } = require('node:perf_hooks')
const { getHeapStatistics } = require('node:v8')

const EVERY = 1000
/** An app at rest says again what has not changed, for a daemon that is new. */
const REPEAT = 10
/** Seconds that latencies and the rate of requests are of. */
const LATELY = 60
/** So many requests within a second are enough: then nothing listens to them for a while, and the figures stay as they are. */
const ENOUGH = 1000
/** How long nothing listens, in milliseconds. To begin and to stop each second would cost a server 3 percent of its time. */
const PAUSE = 30_000
/** Requests that are timed each second. */
const TIMED = 20

/** @param {(message: object) => void} tell */
function start(tell) {
  const requests = new Requests()
  /** @type {number[]} */
  const lateness = []
  let last = performance.now()
  let before = ''
  let same = 0
  const tick = () => {
    const now = performance.now()
    keepLately(lateness, Math.max(0, now - last - EVERY))
    last = now
    const data = { ...requests.metrics(now), ...heap(), ...active(), ...loop(lateness) }
    const text = JSON.stringify(data)
    same = text === before ? same + 1 : 0
    before = text
    if (same % REPEAT === 0) tell({ type: 'axm:monitor', data })
  }
  const end = () => {
    clearInterval(timer)
    requests.end()
  }
  // A listener of `disconnect` would keep the app alive, so it is asked for here.
  const timer = setInterval(() => {
    if (!process.connected) return end()
    try {
      tick()
    } catch {
      // The app has put something else in place of what we ask: it is left alone.
      end()
    }
  }, EVERY)
  timer.unref()
}

/** HTTP requests that this process answers. */
class Requests {
  constructor() {
    this.seen = false
    this.since = 0
    this.count = 0
    /** When there were enough; 0: not yet. */
    this.enough = 0
    /** @type {number[]} requests a second */
    this.rates = []
    /** @type {number[][]} milliseconds, for each second */
    this.times = [[]]
    this.onBegin = this.onBegin.bind(this)
    // Held here: a channel that nobody holds is collected, and its subscribers with it (Node 18 and 20).
    this.began = channel('http.server.request.start')
    this.listen(performance.now())
  }

  /** @param {number} now */
  listen(now) {
    this.since = now
    this.count = 0
    this.enough = 0
    this.began.subscribe(this.onBegin)
  }

  end() {
    this.began.unsubscribe(this.onBegin)
  }

  /** @param {any} message */
  onBegin({ response }) {
    if (this.enough > 0) return
    this.seen = true
    this.count += 1
    if (this.count <= TIMED) this.time(response)
    if (this.count < ENOUGH) return
    this.enough = performance.now()
    // Not from within, where Node 18 throws into the app, or passes over the next subscriber.
    setImmediate(() => this.end())
  }

  /** @param {any} response */
  time(response) {
    const began = performance.now()
    try {
      response.once('finish', () => this.times[this.times.length - 1].push(performance.now() - began))
    } catch {
      // A response of the app's own making.
    }
  }

  /** @param {number} now */
  metrics(now) {
    keepLately(this.rates, (1000 * this.count) / Math.max((this.enough || now) - this.since, 1))
    if (this.enough === 0) {
      this.since = now
      this.count = 0
    } else if (now - this.enough >= PAUSE) this.listen(now)
    if (!this.seen) return {}
    const times = this.times.flat()
    if (this.enough === 0) keepLately(this.times, [])
    const perMinute = (60 * this.rates.reduce((sum, rate) => sum + rate, 0)) / this.rates.length
    const [p50, p95] = percentiles(times)
    return {
      'HTTP Mean Latency': metric('internal/http/builtin/latency/p50', Math.round(p50), 'ms'),
      'HTTP P95 Latency': metric('internal/http/builtin/latency/p95', Math.round(p95), 'ms'),
      HTTP: metric('internal/http/builtin/reqs', Number(perMinute.toFixed(2)), 'req/min'),
    }
  }
}

function heap() {
  const { total_heap_size: total, used_heap_size: used } = getHeapStatistics()
  const mebibytes = (/** @type {number} */ bytes) => (bytes / 1024 / 1024).toFixed(2)
  return {
    'Heap Size': metric('internal/v8/heap/total', mebibytes(total), 'MiB'),
    'Heap Usage': metric('internal/v8/heap/usage', Number(((100 * used) / total).toFixed(2)), '%'),
    'Used Heap Size': metric('internal/v8/heap/used', mebibytes(used), 'MiB'),
  }
}

function active() {
  // Node has no other way to ask for their numbers; Bun has none.
  const { _getActiveRequests, _getActiveHandles } = /** @type {any} */ (process)
  if (typeof _getActiveRequests !== 'function' || typeof _getActiveHandles !== 'function') return {}
  return {
    'Active requests': metric('internal/libuv/requests', _getActiveRequests.call(process).length),
    'Active handles': metric('internal/libuv/handles', _getActiveHandles.call(process).length),
  }
}

/** @param {number[]} lateness of a timer, in milliseconds */
function loop(lateness) {
  const [p50, p95] = percentiles(lateness)
  return {
    'Event Loop Latency': metric('internal/libuv/latency/p50', p50.toFixed(2), 'ms'),
    'Event Loop Latency p95': metric('internal/libuv/latency/p95', p95.toFixed(2), 'ms'),
  }
}

/**
 * @param {string} type
 * @param {string | number} value
 * @param {string} [unit]
 */
function metric(type, value, unit) {
  return { historic: true, ...(unit === undefined ? {} : { unit }), type, value }
}

/**
 * The median and the 95th percentile; zeros of nothing.
 * @param {number[]} values
 */
function percentiles(values) {
  if (values.length === 0) return [0, 0]
  const sorted = Float64Array.from(values).sort()
  return [0.5, 0.95].map((part) => sorted[Math.ceil(part * sorted.length) - 1])
}

/**
 * @template T
 * @param {T[]} list
 * @param {T} value
 */
function keepLately(list, value) {
  list.push(value)
  if (list.length > LATELY) list.shift()
}

module.exports = { start, Requests, ENOUGH, PAUSE }
