'use strict'

// Owns: `streamLogs(target, options)`, the lines of log files for programs: first the last ones, then what comes.
// Must never: read ahead of whoever asks (so memory is bounded), or skip a line when a file is rotated.

const { mergeByTime, moment } = require('./log_stream/lines.js')
const { Reader } = require('./log_stream/reader.js')

/** How often files are looked at when nobody says that they have changed, in ms. */
const LOOK_AGAIN = 500

/**
 * @typedef {import('../index.js').LogLine} LogLine
 * @typedef {import('../index.js').StreamLogsOptions} Options
 * @typedef {InstanceType<typeof import('./connection.js').Connection>} Connection
 * @typedef {{ name: string, pm_id: number, pm2_env: Record<string, any> }} Listed
 * @typedef {{ file: string, type: 'out' | 'err', owners: Listed[] }} Source
 */

/**
 * @param {Connection} connection
 * @param {unknown} target
 * @param {Options} options
 * @returns {AsyncIterableIterator<LogLine>}
 */
function streamLogs(connection, target, options) {
  const [since, until] = [moment(options.since, 'since'), moment(options.until, 'until')]
  const lines = options.lines ?? (since === undefined && until === undefined ? 0 : Number.POSITIVE_INFINITY)
  const wanted = { lines, since, until }
  const wake = new Wake()
  const found = read(connection, matcher(target), options, wanted, wake)
  const { signal } = options
  const stop = () => wake.stop()
  if (signal?.aborted) stop()
  else signal?.addEventListener('abort', stop, { once: true })
  return {
    next: () => found.next(),
    return: async () => {
      // A `next` that waits for a line ends first.
      stop()
      signal?.removeEventListener('abort', stop)
      return found.return(undefined)
    },
    throw: async (error) => {
      stop()
      return found.throw(error)
    },
    [Symbol.asyncIterator]() {
      return this
    },
  }
}

/**
 * @param {Connection} connection
 * @param {(process: Listed) => boolean} wanted
 * @param {Options} options
 * @param {{ lines: number, since?: number, until?: number }} history
 * @param {Wake} wake
 * @returns {AsyncGenerator<LogLine, undefined, undefined>}
 */
async function* read(connection, wanted, options, history, wake) {
  // What ends in the past has no future.
  const follow = options.follow !== false && history.until === undefined
  /** @type {Map<string, InstanceType<typeof Reader>>} */
  const readers = new Map()
  const began = Date.now()
  let changed = false
  const bus = follow ? connection.openBus() : undefined
  bus?.on('process:event', () => {
    changed = true
    wake.now()
  })
  const find = async () => {
    /** @type {Listed[]} */
    const list = await connection.run({ action: 'list' })
    return sources(list.filter(wanted), options)
  }
  try {
    for (const source of await find()) readers.set(source.file, new Reader(source, wake))
    const files = await Promise.all([...readers.values()].map((reader) => reader.begin(history)))
    for (const line of mergeByTime(files)) {
      if (wake.stopped) return
      yield line
    }
    while (follow && !wake.stopped) {
      if (changed) {
        changed = false
        for (const source of await find()) {
          const reader = readers.get(source.file)
          if (reader) reader.source = source
          else readers.set(source.file, await new Reader(source, wake).late(began))
        }
      }
      const waiting = wake.next(LOOK_AGAIN)
      let any = false
      for (const reader of readers.values()) {
        for (const line of await reader.more()) {
          yield line
          if (wake.stopped) return
        }
        any ||= reader.moved
        reader.moved = false
      }
      if (!any) await waiting
    }
  } finally {
    bus?.close()
    await Promise.all([...readers.values()].map((reader) => reader.close()))
  }
}

/** Something may have changed. */
class Wake {
  constructor() {
    this.stopped = false
    this.now = () => {}
  }

  /** @param {number} limit ms @returns {Promise<void>} */
  next(limit) {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, this.stopped ? 0 : limit)
      this.now = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }

  stop() {
    this.stopped = true
    this.now()
  }
}

/**
 * @param {Listed[]} processes
 * @param {Options} options
 * @returns {Source[]}
 */
function sources(processes, options) {
  /** @type {Map<string, Source>} */
  const found = new Map()
  /** @type {['pm_out_log_path' | 'pm_err_log_path', 'out' | 'err'][]} */
  const kinds = [
    ['pm_out_log_path', 'out'],
    ['pm_err_log_path', 'err'],
  ]
  for (const owner of processes) {
    for (const [key, type] of kinds) {
      const file = owner.pm2_env[key]
      if (options[type] === false || typeof file !== 'string' || file === '' || /^(\/dev\/null|NULL)$/.test(file))
        continue
      const known = found.get(file)
      if (known === undefined) found.set(file, { file, type, owners: [owner] })
      else if (!known.owners.includes(owner)) known.owners.push(owner)
    }
  }
  return [...found.values()]
}

/** @param {unknown} target @returns {(process: Listed) => boolean} */
function matcher(target) {
  if (Array.isArray(target)) {
    const any = target.map(matcher)
    return (process) => any.some((matches) => matches(process))
  }
  if (target instanceof RegExp)
    return ({ name }) => new RegExp(target.source, target.flags.replace(/[gy]/g, '')).test(name)
  const text = String(target ?? 'all')
  if (text === 'all') return () => true
  const pattern = /^\/(.*)\/([a-z]*)$/.exec(text)
  if (pattern) return matcher(new RegExp(pattern[1], pattern[2]))
  return ({ name, pm_id, pm2_env }) => name === text || String(pm_id) === text || pm2_env.namespace === text
}

module.exports = { streamLogs }
