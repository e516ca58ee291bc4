'use strict'

// Owns: the place in one log file up to which it was read, through all its rotations.
// Must never: skip a line or tell it twice when a file is rotated or compressed while it is read.

const fs = require('node:fs')
const path = require('node:path')
const { NEWLINE, between, feeds, firstTime, split, timeOf } = require('./lines.js')
const { contentOf, oldFiles, unpack } = require('./old_files.js')

const CHUNK = 64 * 1024
/** A file without a time in so many bytes carries none. */
const PROBE = 1 << 20
/** How often a file is looked for that is being renamed. */
const TRIES = 20
const NEWLINES = Buffer.from('\n')

/**
 * @typedef {import('../../index.js').LogLine} LogLine
 * @typedef {import('../log_stream.js').Source} Source
 * @typedef {{ now: () => void }} Wake
 */

/** One log file, through all its rotations. */
class Reader {
  /** @param {Source} source @param {Wake} wake */
  constructor(source, wake) {
    this.source = source
    /** @type {import('node:fs').promises.FileHandle | undefined} */
    this.handle = undefined
    this.position = 0
    /** There may be more at once. */
    this.moved = false
    /** The beginning of a line that has no end yet. @type {Buffer} */
    this.rest = Buffer.alloc(0)
    /** What the open file holds, if it is a compressed one. @type {Buffer | undefined} */
    this.unpacked = undefined
    try {
      this.watcher = fs.watch(path.dirname(source.file), { persistent: false }, () => wake.now())
      this.watcher.on('error', () => {})
    } catch {
      // The folder is not there yet: the timer sees it.
    }
  }

  /**
   * The lines that are asked for, in the memory that they take; then it stands behind them.
   * @param {{ lines: number, since?: number, until?: number }} wanted
   * @returns {Promise<LogLine[]>}
   */
  async begin({ lines: count, since, until }) {
    if (!(await this.open())) return []
    const { size } = await this.file().stat()
    this.position = size
    if (!(count > 0)) {
      this.rest = await this.unfinished(size)
      return []
    }
    const timed = since !== undefined || until !== undefined
    // With an end in the past it is not known how many lines come behind it.
    const most = until === undefined ? count : Number.POSITIVE_INFINITY
    const chunks = []
    let [start, found, stamped, early] = [size, 0, !timed, false]
    while (start > 0 && found <= most && !early) {
      const length = Math.min(CHUNK, start)
      start -= length
      const chunk = await this.readAt(start, length)
      chunks.unshift(chunk)
      found += feeds(chunk)
      const first = timed ? firstTime(chunk) : undefined
      stamped ||= first !== undefined
      early = (first !== undefined && since !== undefined && first < since) || (!stamped && size - start > PROBE)
    }
    const bytes = Buffer.concat(chunks)
    // What has no end yet comes when it has one.
    const end = bytes.lastIndexOf(NEWLINE) + 1
    this.rest = bytes.subarray(end)
    let lines = split(bytes.subarray(0, end))
    for (const old of await oldFiles(this.source.file)) {
      if (early || lines.length >= most) break
      const content = await contentOf(old.file)
      const first = since === undefined ? undefined : firstTime(Buffer.concat([NEWLINES, content]))
      early = first !== undefined && since !== undefined && first < since
      lines = split(content).concat(lines)
    }
    const whole = this.dress(Number.isFinite(most) ? lines.slice(-most) : lines)
    const kept = timed ? between(whole, since ?? Number.NEGATIVE_INFINITY, until ?? Number.POSITIVE_INFINITY) : whole
    return Number.isFinite(count) ? kept.slice(-count) : kept
  }

  /** For an app that came later: what its file held before the stream began is not told. @param {number} since */
  async late(since) {
    if (await this.open()) {
      const { birthtimeMs, size } = await this.file().stat()
      // File systems count in steps of some milliseconds.
      if (birthtimeMs < since - 100) {
        this.position = size
        this.rest = await this.unfinished(size)
      }
    }
    return this
  }

  /** What has come since, about a chunk of it. @returns {Promise<LogLine[]>} */
  async more() {
    if (!this.handle && !(await this.open())) return []
    const size = await this.size()
    if (size < this.position) {
      // Flushed, or copied and truncated.
      this.position = 0
      this.rest = Buffer.alloc(0)
    }
    const bytes = await this.readAt(this.position, Math.min(CHUNK, size - this.position))
    this.position += bytes.length
    this.moved = bytes.length > 0
    if (bytes.length > 0) return this.lines(bytes)
    return this.followRotation()
  }

  /** @param {Buffer} bytes */
  lines(bytes) {
    const end = bytes.lastIndexOf(NEWLINE) + 1
    if (end === 0) {
      this.rest = Buffer.concat([this.rest, bytes])
      return []
    }
    const whole = Buffer.concat([this.rest, bytes.subarray(0, end)])
    this.rest = Buffer.from(bytes.subarray(end))
    return this.dress(split(whole))
  }

  /**
   * The name may stand for another file by now: goes on with the next younger one. Then what has no end will get none.
   * @returns {Promise<LogLine[]>}
   */
  async followRotation() {
    const { file } = this.source
    const mine = await this.file().stat()
    const named = await fs.promises.stat(file).catch(() => undefined)
    if (!named || (named.ino === mine.ino && named.dev === mine.dev)) return []
    for (let tries = 0; tries < TRIES; tries++) {
      const old = await oldFiles(file)
      const own = old.find((one) => one.ino === mine.ino || one.inside === mine.ino)
      // Files move while they are looked for; one that is not found again and again was renamed by another program, or
      // is gone because it was too old.
      if (!own && tries < TRIES / 2) continue
      const younger = own
        ? old.filter((one) => one.number < own.number)
        : old.filter((one) => one.mtimeMs > mine.mtimeMs)
      // A file that was being compressed while we looked is missing in the list: without it its lines would be skipped.
      const complete = !own || new Set(younger.map((one) => one.number)).size === own.number - 1
      if (!complete && tries < TRIES / 2) continue
      const next = younger.at(-1)
      // As long as nobody writes to the new one, the old one may still get lines.
      if (!next && (await fs.promises.stat(file).catch(() => named)).size === 0) return []
      const opened = await fs.promises.open(next?.file ?? file, 'r').catch(() => undefined)
      if (!opened) continue
      // The highest number moves first: if ours has not moved yet, the next one had not either.
      const still = own && (await fs.promises.stat(own.file).catch(() => undefined))
      if (own && still?.ino !== own.ino) {
        await opened.close()
        continue
      }
      // Lines may have come between the last look at its size and the rotation.
      const last = await this.readAt(this.position, Math.max(0, (await this.size()) - this.position))
      const lines = split(Buffer.concat([this.rest, last]))
      await this.close(false)
      this.handle = opened
      this.moved = true
      this.position = 0
      this.rest = Buffer.alloc(0)
      if (next?.file.endsWith('.gz')) this.unpacked = await unpack(await opened.readFile())
      return this.dress(lines)
    }
    return []
  }

  async size() {
    return this.unpacked?.length ?? (await this.file().stat()).size
  }

  file() {
    return /** @type {import('node:fs').promises.FileHandle} */ (this.handle)
  }

  async open() {
    this.handle = await fs.promises.open(this.source.file, 'r').catch(() => undefined)
    this.position = 0
    this.rest = Buffer.alloc(0)
    return this.handle !== undefined
  }

  /** @param {number} size @returns {Promise<Buffer>} */
  async unfinished(size) {
    const start = Math.max(0, size - CHUNK)
    const bytes = await this.readAt(start, size - start)
    return bytes.subarray(bytes.lastIndexOf(NEWLINE) + 1)
  }

  /** @param {number} start @param {number} length */
  async readAt(start, length) {
    if (this.unpacked) return this.unpacked.subarray(start, start + length)
    const buffer = Buffer.allocUnsafe(length)
    let done = 0
    while (done < length) {
      const { bytesRead } = await this.file().read(buffer, done, length - done, start + done)
      if (bytesRead === 0) break
      done += bytesRead
    }
    return buffer.subarray(0, done)
  }

  /** @param {Buffer[]} lines @returns {LogLine[]} */
  dress(lines) {
    const { file, type, owners } = this.source
    const names = new Set(owners.map((owner) => owner.name))
    const name = names.size === 1 ? owners[0].name : undefined
    const id = owners.length === 1 ? owners[0].pm_id : undefined
    return lines.map((bytes) => {
      const line = bytes.toString('utf8')
      const said = timeOf(line)
      return {
        line,
        type: said?.type ?? type,
        name: said?.name ?? name,
        pm_id: said?.id ?? id,
        at: said?.at,
        file,
      }
    })
  }

  async close(forEver = true) {
    if (forEver) this.watcher?.close()
    await this.handle?.close().catch(() => {})
    this.handle = undefined
    this.unpacked = undefined
  }
}

module.exports = { Reader }
