'use strict'

// Owns: bytes to lines, the times that lines carry, and their order. Pure.
// Must never: guess a time; a line without one belongs to the line before it.

/** @typedef {import('../../index.js').LogLine} LogLine */

const NEWLINE = 10

/** @param {Buffer} bytes */
function feeds(bytes) {
  let count = 0
  for (let at = bytes.indexOf(NEWLINE); at >= 0; at = bytes.indexOf(NEWLINE, at + 1)) count += 1
  return count
}

/** Without line feeds; also an unfinished last one. @param {Buffer} bytes @returns {Buffer[]} */
function split(bytes) {
  const lines = []
  let start = 0
  for (let at = bytes.indexOf(NEWLINE); at >= 0; at = bytes.indexOf(NEWLINE, start)) {
    lines.push(bytes.subarray(start, at))
    start = at + 1
  }
  if (start < bytes.length) lines.push(bytes.subarray(start))
  return lines
}

const DATE = /^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?(\.\d+)?( ?(Z|[+-]\d\d:?\d\d))?/

/** What a line says about itself: its date (any ISO form), and for JSON lines who wrote it. @param {string} line */
function timeOf(line) {
  if (line.startsWith('{"message":')) {
    try {
      const { timestamp, type, process_id: id, app_name: name } = JSON.parse(line)
      return { at: dateOf(String(timestamp)), type: type === 'err' || type === 'out' ? type : undefined, id, name }
    } catch {
      return undefined
    }
  }
  const at = dateOf(line)
  return at && { at, type: undefined, id: undefined, name: undefined }
}

/** @param {string} text */
function dateOf(text) {
  const found = DATE.exec(text)
  if (!found) return undefined
  const at = new Date(found[0].replace(/ (?=Z|[+-])/, '').replace(' ', 'T'))
  return Number.isNaN(at.getTime()) ? undefined : at
}

/**
 * Lines of several files by time; a line without one belongs to the line before it. Files without any come first.
 * @param {LogLine[][]} files
 */
function mergeByTime(files) {
  const keyed = files.flatMap((lines) => {
    let time = Number.NEGATIVE_INFINITY
    return lines.map((line) => {
      time = line.at?.getTime() ?? time
      return { time, line }
    })
  })
  // Stable, so that the order inside of a file stays where times are equal. Infinities have no difference.
  const order = (/** @type {number} */ one, /** @type {number} */ other) => (one < other ? -1 : one > other ? 1 : 0)
  return keyed.sort((one, other) => order(one.time, other.time)).map(({ line }) => line)
}

/**
 * The lines of one file between two moments (ms); those without any time before them are left out.
 * @param {LogLine[]} lines
 * @param {number} since
 * @param {number} until
 */
function between(lines, since, until) {
  let time = Number.NaN
  return lines.filter((line) => {
    time = line.at?.getTime() ?? time
    return time >= since && time <= until
  })
}

/** The first time in a piece of a file, which may begin in the middle of a line. @param {Buffer} bytes */
function firstTime(bytes) {
  for (const line of split(bytes.subarray(bytes.indexOf(NEWLINE) + 1))) {
    const said = timeOf(line.toString('utf8'))
    if (said?.at) return said.at.getTime()
  }
  return undefined
}

const UNITS = { ms: 1, s: 1e3, m: 6e4, h: 36e5, d: 864e5, w: 6048e5 }

/**
 * A moment in ms since the epoch: a date, its number, an ISO text, or so long ago (`10m`, `1h30m`).
 * @param {Date | number | string | undefined} value
 * @param {string} name
 */
function moment(value, name) {
  if (value === undefined) return undefined
  const text = String(value)
  if (typeof value === 'string' && /^(\d+(ms|[smhdw]))+$/.test(text)) {
    const parts = text.matchAll(/(\d+)(ms|[smhdw])/g)
    return [...parts].reduce((at, [, count, unit]) => at - Number(count) * UNITS[/** @type {'s'} */ (unit)], Date.now())
  }
  const at = typeof value === 'string' ? (dateOf(text) ?? new Date(text)).getTime() : Number(value)
  if (Number.isNaN(at)) throw new TypeError(`${name}: ${text} is no time; expected a Date, ms, an ISO text or '10m'`)
  return at
}

module.exports = { NEWLINE, between, feeds, firstTime, mergeByTime, moment, split, timeOf }
