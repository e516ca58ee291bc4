// Records what keeper and daemon of this build say to each other, and the state with which a keeper becomes another
// executable, from a real run under strace: `tests/fixtures/{link,orders,keeper-state}-v<N>`. The tests read them for ever:
// run it once before a release in which a version number has gone up, and commit what it wrote.
//
//   node scripts/build.mjs && node scripts/record_protocol.mjs [--again]
//
// Without `--again` a file that is there already is kept.

import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import path from 'node:path'

const require = createRequire(import.meta.url)
const { fixture, freshClient, isAlive, waitFor } = require('../__test__/support/home.js')
const { info, killDaemon, killKeeper, pm2d, settled, update } = require('../__test__/support/recovery.js')

const folder = mkdtempSync(path.join(tmpdir(), 'pm2-rs-record-'))
const file = (name) => path.join(folder, name)

function program(name, text) {
  writeFileSync(file(name), `#!/bin/sh\n${text}\n`, { mode: 0o755 })
  return file(name)
}

/** Everything that the two can say, at least once. */
async function scenario(pm2) {
  await pm2.start([{ script: fixture('forever.js'), name: 'app' }])
  // A start that fails: the program that its first line names is missing.
  writeFileSync(file('nobody'), '#!/nonexistent/interpreter\n', { mode: 0o755 })
  await pm2.start({ script: file('nobody'), interpreter: 'none', name: 'nobody', autorestart: false }).catch(() => {})
  // A line that does not fit in a socket is held for the next daemon while it comes.
  writeFileSync(file('says.js'), "process.send({ type: 'long', data: 'x'.repeat(2e6) }); setInterval(() => {}, 1e6)")
  const [says] = await pm2.start({ script: file('says.js'), name: 'says' })
  process.kill(says.pid, 'SIGKILL')
  await waitFor(async () => (await pm2.describe('says'))[0].pm2_env.restart_time === 1)
  process.kill((await settled(pm2)).keeper_pid, 'SIGUSR2')
  await waitFor(() => recorded(pm2.home).link.some(({ value }) => value.op === 'ping'), 'a question of the keeper')
  await killDaemon(pm2)
  await killKeeper(pm2)
  await pm2.start({
    script: program('waits.sh', `while [ ! -e ${file('end')} ]; do sleep 0.02; done; sleep 3 & exit 7`),
    name: 'waits',
    autorestart: false,
  })

  const use = async (executable) => {
    process.env.PM2_RS_DAEMON = executable
    return update(pm2)
  }
  // One that does not come up, then one that does.
  const broken = program('broken', `case $1 in --versions) exec '${pm2d}' --versions;; esac; exit 3`)
  await use(broken).catch((error) => error)
  // An app ends while no daemon is there, and a child of it keeps its pipes open, which the next daemon waits for: so the
  // keeper that is renewed has an exit that nobody has acknowledged.
  const slow = program('slow', `[ "$1" = daemon ] && { : > '${file('end')}'; sleep 0.5; }\nexec '${pm2d}' "$@"`)
  await use(slow)
  await waitFor(async () => (await pm2.describe('waits'))[0].pm2_env.status === 'stopped')

  // A daemon that cannot serve: the journal is of a version that it does not know, for a moment.
  const journal = path.join(pm2.home, 'pm2d.journal')
  const at = readFileSync(journal, 'latin1').indexOf('"pm2rs_journal":') + '"pm2rs_journal":'.length
  const byte = readFileSync(journal, 'latin1')[at]
  const write = (text) => writeSync(openSync(journal, 'r+'), text, at)
  const { daemon_pid: daemon } = await info(pm2)
  write('9')
  process.kill(daemon, 'SIGKILL')
  await waitFor(() => readFileSync(path.join(pm2.home, 'pm2.log'), 'utf8').includes('cannot serve'))
  write(byte)
  await settled(pm2)
  await pm2.killDaemon()
}

/** A text as strace shows it. */
function unquoted(text) {
  const named = { n: '\n', t: '\t', r: '\r', v: '\v', f: '\f' }
  const bytes = text.replace(/\\([0-7]{1,3}|.)/g, (_, code) =>
    /^[0-7]/.test(code) ? String.fromCharCode(Number.parseInt(code, 8)) : (named[code] ?? code),
  )
  return Buffer.from(bytes, 'latin1').toString('utf8')
}

const fromKeeper = ['welcome', 'held', 'running', 'ready', 'spawned', 'spawn_failed', 'exited', 'ping', 'signalled']

/** One of each kind: the same fields, filled in the same way. */
function kinds(messages) {
  const shape = (value) =>
    value && typeof value === 'object'
      ? Object.entries(value).map(([key, inner]) => [key, shape(inner)])
      : typeof value === 'boolean'
        ? value
        : typeof value
  const seen = new Map(messages.map((message) => [JSON.stringify([message.value.op, shape(message.value)]), message]))
  return [...seen.values()]
}

/** What was said, as it was said (numbers may be larger than JavaScript's), with other paths. */
function recorded(home) {
  const trace = readdirSync(folder)
    .filter((name) => name.startsWith('trace.'))
    .map((name) => readFileSync(file(name), 'latin1'))
    .join('\n')
  const texts = [...trace.matchAll(/(?:iov_base=|write\(\d+, )"((?:[^"\\]|\\.)*)"(\.\.\.)?/g)]
  const said = texts.flatMap(([, escaped, cut]) => {
    if (cut || !escaped.startsWith('{')) return []
    const paths = [home, folder, path.dirname(pm2d)]
    const named = ['/home/u/.pm2', '/srv', '/opt/pm2-rs']
    const text = paths.reduce((text, from, at) => text.replaceAll(from, named[at]), unquoted(escaped))
    try {
      return [{ text, value: JSON.parse(text) }]
    } catch {
      return []
    }
  })
  const messages = kinds(said.filter(({ value }) => typeof value.op === 'string'))
  return {
    link: messages.filter(({ value }) => fromKeeper.includes(value.op)),
    orders: messages.filter(({ value }) => !fromKeeper.includes(value.op)),
    states: said.filter(({ value }) => value.brain && value.held),
  }
}

function keep(name, text) {
  const target = path.join(import.meta.dirname, '..', 'tests', 'fixtures', name)
  if (existsSync(target) && !process.argv.includes('--again')) return console.log(`kept: ${name}`)
  writeFileSync(target, text)
  console.log(`wrote: ${name}`)
}

const cleanups = [() => rmSync(folder, { recursive: true })]
try {
  const trace = `strace -D -f -ff -o '${file('trace')}' -s 4000000 -e trace=sendmsg,write -e signal=none`
  process.env.PM2_RS_DAEMON = program('traced', `exec ${trace} '${pm2d}' "$@"`)
  process.env.PM2_RS_HANG_LIMIT = '3'
  const pm2 = freshClient({ after: (cleanup) => cleanups.unshift(cleanup) })
  await pm2.connect?.()
  const { keeper_pid: keeper } = await settled(pm2)
  await scenario(pm2)
  await waitFor(() => !isAlive(keeper))
  const { keeper: protocol } = JSON.parse(execFileSync(pm2d, ['--versions'], { encoding: 'utf8' }))
  const { link, orders, states } = recorded(pm2.home)
  const missing = fromKeeper.filter((op) => !link.some(({ value }) => value.op === op))
  if (missing.length || !states.length) throw new Error(`not heard: ${missing.join(', ')}; states: ${states.length}`)
  const lines = (messages) => messages.map(({ text }) => `${text}\n`).join('')
  keep(`link-v${protocol}.jsonl`, lines(link))
  keep(`orders-v${protocol}.jsonl`, lines(orders))
  // The one with most in it.
  const state = states.reduce((best, next) => (next.value.runs.length > best.value.runs.length ? next : best))
  keep(`keeper-state-v${state.value.version}.json`, `${state.text}\n`)
} finally {
  for (const cleanup of cleanups) await cleanup()
}
