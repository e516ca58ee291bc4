'use strict'

// How apps are asked to end, what becomes of their children, and when they are started again.

const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const { test } = require('node:test')

const { cli, fixture, freshClient, isAlive, waitFor } = require('../support/home.js')

const only = async (pm2, name) => (await pm2.describe(name))[0]

/** A script in the folder of the test, and a file that it writes to. */
function scriptOf(pm2, name, text) {
  const said = path.join(path.dirname(pm2.home), `${name}.said`)
  const file = path.join(path.dirname(pm2.home), name)
  fs.writeFileSync(
    file,
    `const say = (text) => require('fs').appendFileSync(${JSON.stringify(said)}, text + '\\n');\n${text}\nprocess.send && process.send('ready'); setInterval(() => {}, 1000)`,
  )
  return { file, said: () => fs.readFileSync(said, 'utf8') }
}

test('shutdown_with_message sends the message, and no signal', async (t) => {
  const pm2 = freshClient(t)
  const { file, said } = scriptOf(
    pm2,
    'polite.js',
    `for (const s of ['SIGINT', 'SIGTERM']) process.on(s, () => say(s));
process.on('message', (text) => { if (text === 'shutdown') { say('asked'); process.exit(0) } })`,
  )
  await pm2.start({ script: file, name: 'app', shutdown_with_message: true, wait_ready: true, kill_timeout: 20_000 })
  await pm2.stop('app')
  assert.equal(said(), 'asked\n')
})

test('PM2_KILL_SIGNAL of the daemon is the stop signal of those that name none', async (t) => {
  const pm2 = freshClient(t)
  const { file, said } = scriptOf(
    pm2,
    'tells.js',
    `for (const s of ['SIGINT', 'SIGTERM', 'SIGUSR2']) process.on(s, () => { say(s); process.exit(0) })`,
  )
  const env = { PM2_KILL_SIGNAL: 'SIGTERM' }
  assert.equal(cli(pm2.home, ['start', file, '--name', 'a', '--wait-ready'], { env }).status, 0)
  await pm2.start({ script: file, name: 'b', kill_signal: 'SIGUSR2', wait_ready: true })
  await pm2.stop('a')
  await pm2.stop('b')
  assert.equal(said(), 'SIGTERM\nSIGUSR2\n')
})

test('children end with their parent, unless treekill is false', async (t) => {
  const pm2 = freshClient(t)
  const start = async (name, treekill) => {
    const { file, said } = scriptOf(
      pm2,
      `${name}.js`,
      `say(require('child_process').spawn('sleep', ['600'], { stdio: 'ignore' }).pid)`,
    )
    await pm2.start({ script: file, name, treekill, wait_ready: true })
    return Number(said())
  }
  const [all, alone] = [await start('all', true), await start('alone', false)]
  assert.ok(isAlive(all) && isAlive(alone))
  await pm2.stop('all')
  assert.equal(isAlive(all), false)
  await pm2.stop('alone')
  assert.ok(isAlive(alone))
  process.kill(alone, 'SIGKILL')
})

test('exp_backoff_restart_delay grows by half each time, and a restart by hand does not wait', async (t) => {
  const pm2 = freshClient(t)
  await pm2.start({ script: fixture('crash.js'), name: 'app', exp_backoff_restart_delay: 100, max_restarts: 50 })
  const seen = new Set()
  await waitFor(async () => {
    const { prev_restart_delay: delay } = (await only(pm2, 'app')).pm2_env
    if (delay) seen.add(delay)
    return seen.size >= 3
  })
  // 100, 150, 225, 337, ...: whichever of them were seen.
  const steps = [100]
  while (steps.length < 20) steps.push(Math.min(15_000, Math.floor(steps.at(-1) * 1.5)))
  for (const delay of seen) assert.ok(steps.includes(delay), `${delay} of ${steps}`)
})

test('autostart false adds to the list, and an explicit start starts', async (t) => {
  const pm2 = freshClient(t)
  await pm2.start({ script: fixture('forever.js'), name: 'app', autostart: false })
  assert.deepEqual([(await only(pm2, 'app')).pm2_env.status, (await only(pm2, 'app')).pid], ['stopped', 0])
  await pm2.start('app')
  assert.equal((await only(pm2, 'app')).pm2_env.status, 'online')
  await pm2.stop('app')
  await pm2.start(0).catch(() => pm2.restart(0))
  assert.equal((await only(pm2, 'app')).pm2_env.status, 'online')
})

test('an exit after min_uptime is not unstable', async (t) => {
  const pm2 = freshClient(t)
  const { file } = scriptOf(pm2, 'short.js', 'setTimeout(() => process.exit(1), 150)')
  await pm2.start([
    { script: file, name: 'unstable', min_uptime: '1m', max_restarts: 2 },
    { script: file, name: 'stable', min_uptime: 100, max_restarts: 2 },
  ])
  await waitFor(async () => (await only(pm2, 'unstable')).pm2_env.status === 'errored')
  await waitFor(async () => (await only(pm2, 'stable')).pm2_env.restart_time > 4)
  assert.notEqual((await only(pm2, 'stable')).pm2_env.status, 'errored')
})

test('uid and gid by name and by number', { skip: process.getuid() !== 0 && 'needs root' }, async (t) => {
  const pm2 = freshClient(t)
  const [sleep, args, interpreter] = ['/bin/sleep', ['600'], 'none']
  await pm2.start([
    { script: sleep, args, interpreter, name: 'named', uid: 'nobody', gid: 'daemon', cwd: '/' },
    { script: sleep, args, interpreter, name: 'numbered', uid: 65534, cwd: '/' },
  ])
  const ids = async (name, what) => {
    const status = fs.readFileSync(`/proc/${(await only(pm2, name)).pid}/status`, 'utf8')
    return new RegExp(`^${what}:\\s+(\\d+)`, 'm').exec(status)[1]
  }
  const number = (file, name) => new RegExp(`^${name}:[^:]*:(\\d+)`, 'm').exec(fs.readFileSync(file, 'utf8'))[1]
  assert.equal(await ids('named', 'Uid'), number('/etc/passwd', 'nobody'))
  assert.equal(await ids('named', 'Gid'), number('/etc/group', 'daemon'))
  assert.equal(await ids('numbered', 'Uid'), '65534')
  await assert.rejects(
    pm2.start({ script: sleep, name: 'x', uid: 'no-such-user' }),
    /User no-such-user cannot be found/,
  )
})

test('write: true writes the options to a file that can be started', async (t) => {
  const pm2 = freshClient(t)
  const folder = path.join(path.dirname(pm2.home), 'here')
  fs.mkdirSync(folder)
  fs.writeFileSync(path.join(folder, 'app.js'), 'setInterval(() => {}, 1000)')
  const made = cli(pm2.home, ['start', 'app.js', '--name', 'made', '--write', '--max-restarts', '3'], { cwd: folder })
  assert.equal(made.status, 0, made.stderr)
  const file = path.join(folder, 'made-pm2.json')
  const written = JSON.parse(fs.readFileSync(file, 'utf8'))
  assert.deepEqual([written.script, written.name, written.max_restarts, written.env], ['app.js', 'made', 3, {}])
  await pm2.delete('made')
  assert.equal(cli(pm2.home, ['start', 'made-pm2.json'], { cwd: folder }).status, 0)
  assert.equal((await only(pm2, 'made')).pm2_env.max_restarts, 3)
})
