'use strict'

// What apps have written is what their files hold, byte by byte and in order, whatever happens meanwhile: rotations (ours
// and others'), flushes of other apps, restarts, reloadLogs, and kill -9 of the daemon.
// LOG_SEED=<number> repeats a run; LOG_RUNS=<number> makes more of them (1, and 3 in CI).

const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const { test } = require('node:test')
const zlib = require('node:zlib')
const { fixture, freshClient, isAlive, waitFor } = require('../support/home.js')

const firstSeed = Number(process.env.LOG_SEED ?? (Math.random() * 2 ** 31) | 0)
const runs = Number(process.env.LOG_RUNS ?? (process.env.CI ? 3 : 1))
let state = 0
const random = (below) => {
  state = (Math.imul(state, 1103515245) + 12345) >>> 0
  return Math.floor((state / 2 ** 32) * below)
}

const ROUNDS = 30
/** The fifth death within seconds is a crash loop to the keeper, which then pauses for 5 s; after the eighth it gives up. */
const MOST_KILLS = 5
/** What each app may write from one deed to the next at full speed: several rotations of the smaller logs. */
const BYTES_A_ROUND = 200_000

/** The old files of a log, the oldest first, then the log: `.N` and `.N.gz` are ours, `.ext-N` the test's. */
function filesOf(log) {
  const start = `${path.basename(log)}.`
  const old = fs.readdirSync(path.dirname(log)).filter((name) => name.startsWith(start))
  const number = (name) => {
    const found = /^(ext-)?(\d+)(\.gz)?$/.exec(name.slice(start.length))
    assert.ok(found, `an unexpected file: ${name}`)
    return found[1] ? Number(found[2]) : -Number(found[2])
  }
  old.sort((one, other) => number(one) - number(other))
  return [...old.map((name) => path.join(path.dirname(log), name)), log]
}

const contentOf = (file) => {
  const bytes = fs.readFileSync(file)
  return file.endsWith('.gz') ? zlib.gunzipSync(bytes) : bytes
}

function assertSame(got, wanted, what) {
  if (got.equals(wanted)) return
  let at = 0
  while (at < Math.min(got.length, wanted.length) && got[at] === wanted[at]) at++
  assert.fail(`${what}: ${got.length} bytes instead of ${wanted.length}, different from ${at} on`)
}

function daemonOf(home) {
  const keeper = Number(fs.readFileSync(path.join(home, 'pm2.pid'), 'utf8'))
  const children = fs.readFileSync(`/proc/${keeper}/task/${keeper}/children`, 'latin1').trim().split(' ')
  return Number(children.find((pid) => /\0daemon\0/.test(`\0${fs.readFileSync(`/proc/${pid}/cmdline`, 'latin1')}\0`)))
}

for (let seed = firstSeed; seed < firstSeed + runs; seed++) {
  test(`files hold what was written (LOG_SEED=${seed})`, { timeout: 900_000 }, (t) => run(t, seed))
}

async function run(t, seed) {
  state = seed >>> 0
  const pm2 = freshClient(t)
  const folder = path.join(path.dirname(pm2.home), 'logs')
  fs.mkdirSync(folder)
  const allowance = path.join(folder, 'allowance')
  const allow = (bytes) => {
    // In one step: a writer never reads an empty file.
    fs.writeFileSync(`${allowance}.new`, String(bytes))
    fs.renameSync(`${allowance}.new`, allowance)
  }
  allow(BYTES_A_ROUND)
  const writtenBy = (name) => {
    const record = path.join(folder, `${name}.written.out`)
    return fs.existsSync(record) ? fs.statSync(record).size : 0
  }
  const app = (name, more) => ({
    name,
    script: fixture('writer.js'),
    args: [String(random(1e6)), path.join(folder, `${name}.written`), allowance, ...(more.form ? [more.form] : [])],
    out_file: path.join(folder, `${name}.out.log`),
    error_file: path.join(folder, `${name}.err.log`),
    merge_logs: true,
    kill_timeout: 20_000,
    log_keep: 100_000,
    ...more.options,
  })
  await pm2.start([
    app('small', { options: { log_max_size: '30K' } }),
    app('packed', { options: { log_max_size: '300K', log_compress: true } }),
    app('external', {}),
    app('noise', { options: { log_max_size: '50K', log_keep: 3 } }),
    app('first', { form: 'lines', options: { log_max_size: '40K', out_file: path.join(folder, 'shared.log') } }),
    app('second', { form: 'lines', options: { log_max_size: '40K', out_file: path.join(folder, 'shared.log') } }),
    app('dated', {
      form: 'lines',
      options: {
        log_max_size: '40K',
        log_compress: true,
        log_date_format: '[D]',
        log_file: path.join(folder, 'both.log'),
      },
    }),
  ])
  const external = path.join(folder, 'external.out.log')
  let renamed = 0
  let killed = 0
  const deeds = [
    async () => pm2.restart(['small', 'packed', 'external', 'first', 'dated'][random(5)]),
    async () => pm2.reloadLogs(),
    async () => pm2.flush('noise'),
    async () => {
      renamed += 1
      fs.renameSync(external, `${external}.ext-${renamed}`)
      await pm2.reloadLogs()
    },
    async () => {
      renamed += 1
      fs.renameSync(external, `${external}.ext-${renamed}`)
      fs.writeFileSync(external, '')
      process.kill(Number(fs.readFileSync(path.join(pm2.home, 'pm2.pid'), 'utf8')), 'SIGUSR2')
      // A signal has no answer. Until it is heard the old file is written to, and must not get a second successor.
      await waitFor(() => fs.statSync(external).size > 0)
    },
    // The last one: it may be drawn only so often.
    async () => {
      const daemon = daemonOf(pm2.home)
      if (!(daemon > 0)) return
      killed += 1
      process.kill(daemon, 'SIGKILL')
      await waitFor(() => !isAlive(daemon) && daemonOf(pm2.home) > 0)
      await waitFor(async () => (await pm2.list()).length === 7)
    },
  ]
  for (let round = 0; round < ROUNDS; round++) {
    allow((round + 1) * BYTES_A_ROUND)
    const name = ['small', 'packed', 'external', 'noise', 'first', 'dated'][random(6)]
    const enough = writtenBy(name) + random(60_000)
    await waitFor(() => writtenBy(name) >= enough, `${name} has written ${enough} bytes`)
    const choices = killed < MOST_KILLS ? deeds.length : deeds.length - 1
    await deeds[round < deeds.length ? round : random(choices)]()
  }
  await pm2.stop('all')
  await waitFor(
    () =>
      !fs.readdirSync(folder).some((name) => /^(packed|dated|both)/.test(name) && /(log\.\d+|compressing)$/.test(name)),
    'all old files are compressed',
    120_000,
  )

  for (const name of ['small', 'packed', 'external']) {
    for (const kind of ['out', 'err']) {
      const files = filesOf(path.join(folder, `${name}.${kind}.log`))
      const got = Buffer.concat(files.map(contentOf))
      assertSame(got, fs.readFileSync(path.join(folder, `${name}.written.${kind}`)), `${name} ${kind}`)
    }
  }
  assert.ok(filesOf(path.join(folder, 'small.out.log')).length > ROUNDS, 'it was rotated')
  assert.ok(filesOf(path.join(folder, 'packed.out.log')).some((file) => file.endsWith('.gz')))
  assert.equal(filesOf(external).length, renamed + 1)
  assert.ok(killed > 0)
  assert.ok(filesOf(path.join(folder, 'noise.out.log')).length <= 4)

  // Several writers in one file: whole lines, those of each in order, in every file.
  const shared = filesOf(path.join(folder, 'shared.log')).map((file) => contentOf(file).toString())
  for (const text of shared) assert.ok(text === '' || text.endsWith('\n'), 'no line is cut by a rotation')
  const lines = shared.join('').split('\n')
  for (const name of ['first', 'second']) {
    const got = lines.filter((line) => line.startsWith(`${name}.`)).join('\n')
    // Only the last line end: a line may end with a space.
    const wanted = fs.readFileSync(path.join(folder, `${name}.written.out`), 'utf8').replace(/\n$/, '')
    assertSame(Buffer.from(got), Buffer.from(wanted), `${name} in the shared file`)
  }
  assert.equal(lines.filter((line) => !/^(first|second)\.written \d+ \d+ x*$/.test(line)).join('|'), '')

  // With dates: each line has one, and they are those that were written; the file of both streams has all of them.
  const whole = (log) => Buffer.concat(filesOf(path.join(folder, log)).map(contentOf)).toString()
  for (const kind of ['out', 'err']) {
    const wanted = fs.readFileSync(path.join(folder, `dated.written.${kind}`), 'utf8').replace(/^(?=.)/gm, 'D: ')
    assertSame(Buffer.from(whole(`dated.${kind}.log`)), Buffer.from(wanted), `dated ${kind}`)
  }
  const sorted = (...texts) => texts.join('').split('\n').sort().join('\n')
  assertSame(
    Buffer.from(sorted(whole('both.log'))),
    Buffer.from(sorted(whole('dated.out.log'), whole('dated.err.log'))),
    'both streams in one file',
  )
  assert.ok(filesOf(path.join(folder, 'dated.out.log')).some((file) => file.endsWith('.gz')))
}
