// `npm run bench`: ours and stock pm2, alternating in one run, with what the machine can do without either beside them.
//
// npm run bench                             every metric, small sizes, 3 rounds
// npm run bench -- --full                   the sizes of the budget
// npm run bench -- logs bus --rounds 5      only these metrics
// npm run bench -- --peer pm2               only one of the two
// npm run bench -- --ours ../other          another working copy's build as ours
// npm run bench -- --growth                 how time and memory grow with the number of apps
//
// A Markdown table on stdout, everything in bench/results/<date>.json. A metric that could not be measured says why in its
// row, and the exit code is 1.

import { mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

import { endAll } from './tools/home.mjs'
import { machine } from './tools/machine.mjs'
import { removeNative } from './tools/native.mjs'
import { missing, packageAt, peers } from './tools/peers.mjs'
import { measured, rowsOf, Tools } from './tools/round.mjs'
import { summary } from './tools/stats.mjs'
import { markdown, ratio, verdict } from './tools/table.mjs'

const folder = path.dirname(fileURLToPath(import.meta.url))

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: 'string', default: '3' },
    quick: { type: 'boolean' },
    full: { type: 'boolean', default: false },
    growth: { type: 'boolean', default: false },
    ours: { type: 'string' },
    peer: { type: 'string', multiple: true, default: Object.keys(peers) },
  },
})

function fail(message) {
  console.error(message)
  process.exit(1)
}

const rounds = Number(options.rounds)
if (!Number.isInteger(rounds) || rounds < 1) fail(`--rounds ${options.rounds}: expected a whole number from 1 on`)
if (options.quick && options.full) fail('--quick and --full exclude each other')
if (options.ours !== undefined) peers.ours = packageAt(path.resolve(options.ours))
const chosen = options.peer.map((name) => peers[name] ?? fail(`--peer ${name}: expected one of ${Object.keys(peers)}`))
for (const peer of chosen) {
  const reason = missing(peer)
  if (reason) fail(reason)
}

// In the order of the budget.
const names =
  'require cli connect memory idle-cpu lifecycle query crash logs logs-node bus recovery update cluster cluster-reload cluster-kill cluster-drop install growth'.split(
    ' ',
  )
const known = await Promise.all(names.map(async (name) => (await import(`./metrics/${name}.mjs`)).default))
for (const name of positionals) {
  if (!known.some((metric) => metric.name === name))
    fail(`${name}: no such metric; there are ${known.map((one) => one.name).join(' ')}`)
}
const metrics = known.filter(({ name, onRequest }) => {
  if (positionals.length > 0) return positionals.includes(name)
  return options.growth ? name === 'growth' : !onRequest
})

const tools = new Tools(options.full)
const limit = tools.pick(120_000, 900_000)

// The first signal ends the measurement and shows what there is; the second one ends everything.
let interrupted = false
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, async () => {
    if (interrupted) process.exit(1)
    interrupted = true
    await endAll().catch((error) => console.error(error))
  })
}

const began = performance.now()
const where = machine()
const rows = []
const failures = []

/** One measurement, its numbers into the samples of its rows. After a failure the same is not tried again. */
async function take(metric, column, work, samples, all) {
  const state = samples[column]
  if (state.failed !== undefined) return
  if (interrupted) {
    if (Object.keys(state.values).length === 0) state.failed = 'interrupted'
    process.exitCode = 1
    return
  }
  const started = performance.now()
  try {
    const rows = rowsOf(metric, tools)
    const required = Object.keys(rows).filter((key) => all && (rows[key].only ?? column) === column)
    const numbers = await measured(work, rows, { limit: metric.limit ?? limit, required })
    for (const [key, value] of Object.entries(numbers)) {
      state.values[key] ??= []
      state.values[key].push(value)
    }
  } catch (error) {
    state.failed = interrupted ? 'interrupted' : error.message
    failures.push(`${metric.name}, ${column}: ${error.stack}`)
  }
  console.error(
    `${metric.name} ${column}: ${((performance.now() - started) / 1000).toFixed(1)} s${state.failed ? ', FAILED' : ''}`,
  )
}

for (const metric of metrics) {
  const samples = Object.fromEntries(['floor', ...chosen.map(({ name }) => name)].map((name) => [name, { values: {} }]))
  const mostRounds = metric.once ? 1 : Math.min(rounds, metric.mostRounds ?? rounds)
  for (let round = 0; round < mostRounds; round++) {
    if (metric.floor) await take(metric, 'floor', () => metric.floor(tools), samples, false)
    // Who goes first changes with each round.
    const order = round % 2 === 0 ? chosen : [...chosen].reverse()
    for (const peer of order) await take(metric, peer.name, () => metric.measure(peer, tools), samples, true)
  }
  for (const [key, row] of Object.entries(rowsOf(metric, tools))) {
    const cells = Object.entries(samples).flatMap(([column, { values, failed }]) => {
      if (failed !== undefined && (column !== 'floor' || row.goal)) return [[column, { failed }]]
      return values[key] ? [[column, summary(values[key])]] : []
    })
    rows.push({ metric: metric.name, key, ...row, ...Object.fromEntries(cells) })
  }
}
removeNative()

const command = `npm run bench -- ${process.argv.slice(2).join(' ')}`.trim()
const results = process.env.PM2_BENCH_RESULTS ?? path.join(folder, 'results')
mkdirSync(results, { recursive: true })
const file = path.join(results, `${where.date.replaceAll(':', '-')}.json`)
const report = rows.map((row) => ({ ...row, goal: row.goal?.text, ratio: ratio(row), met: verdict(row) }))
const plain = (_, value) => (value === Number.POSITIVE_INFINITY ? 'never' : value)
writeFileSync(file, `${JSON.stringify({ command, rounds, machine: where, rows: report, failures }, plain, 2)}\n`)

const { cores, cpu, kernel, node, load, commit, changed } = where
console.log(
  `\`${command}\`, ${rounds} round(s), medians (least - greatest); ${where.date}, ${cores} x ${cpu}, ${kernel}, `,
)
console.log(
  `Node ${node}, load ${load[0].toFixed(2)} before; pm2 ${where.pm2}, pm2-rs ${commit}${changed ? ' with changes' : ''}\n`,
)
console.log(markdown(rows))
console.error(`\nwritten: ${file}, after ${((performance.now() - began) / 60_000).toFixed(1)} minutes`)
if (failures.length > 0) {
  console.error(`\nNot measured:\n\n${failures.join('\n\n')}`)
  process.exitCode = 1
}
