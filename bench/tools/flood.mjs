// Starts a writer, watches its file grow to the end, and counts what arrived.

import { execFileSync } from 'node:child_process'
import { closeSync, constants, fstatSync, openSync, readSync, statSync, writeFileSync, writeSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

import { native } from './native.mjs'
import { cpuSeconds, memory } from './proc.mjs'
import { until } from './until.mjs'

/** A FIFO that holds a writer back until `release` is called. */
export class Gate {
  constructor(home) {
    this.file = home.file('gate')
    execFileSync('mkfifo', [this.file])
  }

  /** Waits until the writer stands at the gate, and opens it. Gives back the moment, in ms. */
  async release(before = () => {}) {
    const gate = await until('the writer to start', () => {
      try {
        return openSync(this.file, constants.O_WRONLY | constants.O_NONBLOCK)
      } catch (error) {
        if (error.code === 'ENXIO') return undefined // Nobody reads yet.
        throw error
      }
    })
    await sleep(300)
    before()
    const start = performance.now()
    writeSync(gate, 'g')
    closeSync(gate)
    return start
  }
}

function size(file) {
  try {
    return statSync(file).size
  } catch (error) {
    if (error.code === 'ENOENT') return 0
    throw error
  }
}

function tail(file, length) {
  const descriptor = openSync(file, 'r')
  try {
    const end = fstatSync(descriptor).size
    const buffer = Buffer.alloc(Math.min(length, end))
    readSync(descriptor, buffer, 0, buffer.length, end - buffer.length)
    return buffer.toString('latin1')
  } finally {
    closeSync(descriptor)
  }
}

/** Waits until `file` ends with a line that has `last`, or has not grown for `patience` ms. Gives the moment of the end. */
async function grown(file, last, patience = 20_000) {
  let [length, moment] = [0, performance.now()]
  for (;;) {
    const now = size(file)
    if (now !== length) {
      ;[length, moment] = [now, performance.now()]
      if (tail(file, 400).includes(last)) return moment
    } else if (performance.now() - moment > patience) {
      return moment
    }
    await sleep(4)
  }
}

/**
 * How many of the lines `#000000000000 ` ... (each `length` bytes with its end) are whole in `file`, whatever stands before
 * them in their line. Each number is counted once.
 */
export function wholeLines(file, lines, length) {
  const seen = new Uint8Array(lines)
  const descriptor = openSync(file, 'r')
  const buffer = Buffer.alloc(4 << 20)
  let [kept, whole] = [0, 0]
  for (;;) {
    const read = readSync(descriptor, buffer, kept, buffer.length - kept, null)
    if (read === 0) break
    const filled = kept + read
    let start = 0
    for (let end = buffer.indexOf(10, start); end !== -1 && end < filled; end = buffer.indexOf(10, start)) {
      const begin = end + 1 - length
      if (begin >= start && buffer[begin] === 35 && buffer[begin + 13] === 32) {
        let number = 0
        for (let digit = begin + 1; digit < begin + 13; digit++) number = number * 10 + buffer[digit] - 48
        if (number >= 0 && number < lines && seen[number] === 0) {
          seen[number] = 1
          whole++
        }
      }
      start = end + 1
    }
    if (start === 0 && filled === buffer.length) start = filled // One line of 4 MiB: not ours.
    buffer.copy(buffer, 0, start, filled)
    kept = filled - start
  }
  closeSync(descriptor)
  return whole
}

/** How often U+FFFD stands in `file`: the writers do not write it, so each is a character that somebody has torn. */
export function tornCharacters(file) {
  const descriptor = openSync(file, 'r')
  const buffer = Buffer.alloc(4 << 20)
  let [kept, torn] = [0, 0]
  for (;;) {
    const read = readSync(descriptor, buffer, kept, buffer.length - kept, null)
    if (read === 0) break
    const filled = buffer.subarray(0, kept + read)
    for (let at = filled.indexOf('\ufffd'); at !== -1; at = filled.indexOf('\ufffd', at + 3)) torn++
    // The last two bytes may begin one; they cannot be the end of one and its beginning.
    kept = Math.min(2, filled.length)
    buffer.copyWithin(0, filled.length - kept, filled.length)
  }
  closeSync(descriptor)
  return torn
}

/** Makes `VmHWM` of these processes begin at what they have now. */
function forgetPeaks(pids) {
  for (const pid of pids) writeFileSync(`/proc/${pid}/clear_refs`, '5')
}

/**
 * Has the machine's memory for a file of `bytes` at hand. In a virtual machine that gives free memory back to its host, the
 * first touch of a page costs ten times what writing it does (`dd` of 1 GB: 0.23 s or 2.3 s, by nothing but luck), so that the
 * one who happens to get pages that were used a moment ago would seem the faster one.
 */
function warmMemory(bytes) {
  execFileSync(native(), ['touch', String(Math.ceil((bytes * 1.5) / 2 ** 20))])
}

/**
 * Lets the writer behind `gate` write `lines` lines of `length` bytes, which arrive in `file`. Gives seconds, megabytes a
 * second, the lines that are missing or cut, the characters that are torn, and the daemon side's processor seconds a gigabyte and peak memory in MB.
 */
export async function flood({ gate, file, lines, length, pids = [] }) {
  let before = 0
  const start = await gate.release(() => {
    warmMemory(lines * length)
    forgetPeaks(pids)
    before = cpuSeconds(pids)
  })
  const end = await grown(file, `#${String(lines - 1).padStart(12, '0')} `)
  const seconds = (end - start) / 1000
  const whole = wholeLines(file, lines, length)
  if (whole === 0) throw new Error(`no line arrived in ${file}`)
  return {
    seconds,
    rate: (whole * length) / 1e6 / seconds,
    lost: lines - whole,
    torn: tornCharacters(file),
    cpu: (cpuSeconds(pids) - before) / ((whole * length) / 1e9),
    peak: memory(pids).peak / 1024,
  }
}
