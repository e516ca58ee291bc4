// Runs load.c, and reads what it counted.

import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

import { loadGenerator } from './native.mjs'

const overTls = fileURLToPath(new URL('tls-load.cjs', import.meta.url))
const running = new Set()

/**
 * Begins a load on a port of this machine. `kind`: `keep` (connections are kept), `new` (one for each request) or `drop`
 * (`seconds` is then how many connections come to nothing). `tls`: by Node. `ended` gives the counts; `stop()` ends it early and gives them too.
 */
export function startLoad({ port, kind, clients = 16, seconds = 1e6, timeout = 5000, tls = false }) {
  const args = [port, kind, clients, seconds, timeout].map(String)
  const [file, ...first] = tls ? [process.execPath, overTls] : [loadGenerator()]
  const child = spawn(file, [...first, ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
  running.add(child)
  let text = ''
  child.stdout.setEncoding('utf8').on('data', (piece) => {
    text += piece
  })
  const ended = new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code, signal) => {
      running.delete(child)
      if (code === 0) resolve(JSON.parse(text))
      else reject(new Error(`the load generator ended with ${signal ?? code}`))
    })
  })
  // Awaited later: until then a failure is no unhandled rejection.
  ended.catch(() => {})
  const stop = () => {
    child.kill('SIGTERM')
    return ended
  }
  return { ended, stop, pid: child.pid }
}

export const load = (options) => startLoad(options).ended

/** Requests that got no whole answer. */
export const failed = (counts) => counts.requests - counts.answered

/** How far the worker that is furthest from the mean lies from it, in percent. */
export function unevenness(counts) {
  const each = Object.values(counts.workers)
  const mean = each.reduce((sum, one) => sum + one, 0) / each.length
  return (100 * Math.max(...each.map((one) => Math.abs(one - mean)))) / mean
}

export function endLoads() {
  for (const child of running) child.kill('SIGKILL')
}
