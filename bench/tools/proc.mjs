// What Linux says about processes. Everything here reads; nothing here signals.

import { readdirSync, readFileSync } from 'node:fs'

const read = (pid, file) => {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'latin1')
  } catch {
    return undefined // It ended while we looked, or it is not ours to read.
  }
}

/** Whether a process with this pid lives (a zombie does not). */
export function isAlive(pid) {
  const stat = read(pid, 'stat')
  return stat !== undefined && !/\) [ZX] /.test(stat)
}

/** Pids whose environment has the entry `wanted`, and none of which an entry begins with one of `without`. */
export function pidsWith(wanted, without = []) {
  return readdirSync('/proc').flatMap((pid) => {
    if (!/^\d+$/.test(pid) || Number(pid) === process.pid) return []
    const environ = read(pid, 'environ')?.split('\0')
    if (!environ?.includes(wanted)) return []
    return environ.some((entry) => without.some((start) => entry.startsWith(start))) ? [] : [Number(pid)]
  })
}

function kilobytes(text, field) {
  const match = new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(text ?? '')
  return match ? Number(match[1]) : 0
}

/** Resident and proportional memory of these processes together, in kB; `peak` is the sum of each one's own peak. */
export function memory(pids) {
  const sum = { rss: 0, pss: 0, peak: 0 }
  for (const pid of pids) {
    const rollup = read(pid, 'smaps_rollup')
    if (rollup === undefined) throw new Error(`process ${pid} ended while its memory was being read`)
    sum.rss += kilobytes(rollup, 'Rss')
    sum.pss += kilobytes(rollup, 'Pss')
    sum.peak += kilobytes(read(pid, 'status'), 'VmHWM')
  }
  return sum
}

/** Processor time of these processes in seconds: the scheduler's nanoseconds, summed over the threads that live. */
export function cpuSeconds(pids) {
  let nanoseconds = 0
  for (const pid of pids) {
    let threads
    try {
      threads = readdirSync(`/proc/${pid}/task`)
    } catch {
      throw new Error(`process ${pid} ended while its processor time was being read`)
    }
    for (const thread of threads) nanoseconds += Number(read(pid, `task/${thread}/schedstat`)?.split(' ')[0] ?? 0)
  }
  return nanoseconds / 1e9
}
