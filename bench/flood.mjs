// `node bench/flood.mjs --gb 10`: memory of daemon and keeper during a flood of logs, while a subscriber of the bus has stopped
// to read and the disk is slow.
//
// --gb <n>        so many gigabytes of 200-byte lines (default 1)
// --rate <MB/s>   how fast the slow disk is (default 80): a FIFO as `log_file`, which gets every line and stands still for the
//                 first three seconds
// --time          with time stamps
// --ours <folder> another working copy's build
// --limit <MB>    most PSS of daemon and keeper together at any moment (default 12)
//
// What it writes: a home in PM2_BENCH_DIR or the temporary folder, removed at the end; in it the app's own log, rotated at
// 32 MB, two old ones kept: less than 100 MB of disk whatever the size of the flood. Duration: about gb x 1000 / rate seconds.
// Exit code 1 if the limit was passed, or a byte is missing behind the FIFO.

import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, statSync } from 'node:fs'
import { connect } from 'node:net'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'

import { Gate } from './tools/flood.mjs'
import { endAll } from './tools/home.mjs'
import { native, removeNative } from './tools/native.mjs'
import { packageAt, peers } from './tools/peers.mjs'
import { cpuSeconds, memory } from './tools/proc.mjs'
import { Tools } from './tools/round.mjs'
import { quantile } from './tools/stats.mjs'

const { values: options } = parseArgs({
  options: {
    gb: { type: 'string', default: '1' },
    rate: { type: 'string', default: '80' },
    time: { type: 'boolean', default: false },
    limit: { type: 'string', default: '12' },
    ours: { type: 'string' },
  },
})
const numbers = Object.entries({ gb: options.gb, rate: options.rate, limit: options.limit })
for (const [name, text] of numbers) {
  if (!(Number(text) > 0)) {
    console.error(`--${name} ${text}: expected a number above 0`)
    process.exit(1)
  }
}

const LENGTH = 200
const STAMP = '2026-01-01T00:00:00: '.length
/** How often memory is looked at, in ms. */
const LOOK = 25

const lines = Math.round((Number(options.gb) * 1e9) / LENGTH)
const bytes = lines * (LENGTH + (options.time ? STAMP : 0))
const peer = options.ours === undefined ? peers.ours : packageAt(path.resolve(options.ours))
const tools = new Tools(true)

async function flood() {
  const home = tools.home()
  const gate = new Gate(home)
  const fifo = home.file('slow')
  execFileSync('mkfifo', [fifo])
  const rate = String(Number(options.rate) * 1e6)
  const disk = spawn(native(), ['reader', fifo, String(bytes), rate, '3'], { stdio: ['ignore', 'pipe', 'inherit'] })
  const driver = await tools.driver(peer, home)
  const logs = home.file('logs')
  await driver.call('start', {
    name: 'writer',
    script: native(),
    args: ['writer', gate.file, String(lines)],
    interpreter: 'none',
    autorestart: false,
    out_file: path.join(logs, 'out.log'),
    error_file: '/dev/null',
    log_file: fifo,
    log_max_size: '32M',
    log_keep: 2,
    time: options.time,
    env: home.appEnv(),
  })
  await driver.end()
  const stalled = connect(path.join(home.path, 'pub.sock'))
  await once(stalled, 'connect')
  stalled.pause()

  const pids = home.daemonSide()
  const samples = [memory(pids).pss / 1024]
  const before = cpuSeconds(pids)
  const start = await gate.release()
  let said = ''
  disk.stdout.on('data', (chunk) => {
    said += chunk
  })
  let done = false
  const ended = once(disk, 'close').then(() => {
    done = true
  })
  while (!done) {
    samples.push(memory(pids).pss / 1024)
    await Promise.race([sleep(LOOK), ended])
  }
  const seconds = (performance.now() - start) / 1000
  samples.push(memory(pids).pss / 1024)
  const kept = readdirSync(logs).reduce((sum, name) => sum + statSync(path.join(logs, name)).size, 0)
  stalled.destroy()
  return {
    seconds,
    arrived: Number(said),
    first: samples[0],
    median: quantile(samples, 0.5),
    greatest: Math.max(...samples),
    peak: memory(pids).peak / 1024,
    samples: samples.length,
    cpu: cpuSeconds(pids) - before,
    kept,
  }
}

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, async () => {
    await endAll().catch((error) => console.error(error))
    removeNative()
    process.exit(1)
  })
}

try {
  const seen = await flood()
  const mb = (number) => `${number.toFixed(1)} MB`
  console.log(`${(bytes / 1e9).toFixed(2)} GB in ${seen.seconds.toFixed(1)} s, ${seen.cpu.toFixed(1)} s of CPU`)
  console.log(`behind the slow disk: ${seen.arrived} of ${bytes} bytes; in rotated files: ${mb(seen.kept / 1e6)}`)
  console.log(
    `PSS of daemon and keeper, ${seen.samples} samples: first ${mb(seen.first)}, median ${mb(seen.median)}, ` +
      `greatest ${mb(seen.greatest)} (limit ${options.limit} MB); peaks of their RSS together ${mb(seen.peak)}`,
  )
  if (seen.greatest >= Number(options.limit) || seen.arrived !== bytes) process.exitCode = 1
} finally {
  await endAll()
  removeNative()
}
