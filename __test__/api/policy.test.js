'use strict'

// Options of supervision from end to end: signals, numbers of instances, namespaces, readiness.

const assert = require('node:assert/strict')
const { execFileSync } = require('node:child_process')
const fs = require('node:fs')
const path = require('node:path')
const { test } = require('node:test')

const { cli, environOf, fixture, freshClient, freshHome, isAlive, waitFor } = require('../support/home.js')

const script = fixture('forever.js')
const only = async (pm2, name) => (await pm2.describe(name))[0]
const environ = (pid) =>
  Object.fromEntries(
    environOf(pid).map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
  )

function scriptOf(pm2, name, text) {
  const file = path.join(path.dirname(pm2.home), name)
  fs.writeFileSync(file, text)
  return file
}

test('ready_timeout "error" makes a start that is never ready fail, and nothing is left', async (t) => {
  const pm2 = freshClient(t)
  const wish = { script, wait_ready: true, listen_timeout: 400 }
  const begun = Date.now()
  await assert.rejects(pm2.start({ ...wish, name: 'strict', ready_timeout: 'error' }), /not ready within 400ms/)
  assert.ok(Date.now() - begun >= 400)
  const app = await only(pm2, 'strict')
  assert.equal(app.pm2_env.status, 'errored')
  assert.equal(app.pid, 0)
  await pm2.start({ ...wish, name: 'lenient' })
  assert.equal((await only(pm2, 'lenient')).pm2_env.status, 'online')
})

test('kill_signal asks the app to stop, kill_timeout ends who does not listen', async (t) => {
  const pm2 = freshClient(t)
  const file = path.join(path.dirname(pm2.home), 'signals')
  const tells = scriptOf(
    pm2,
    'tells.js',
    `for (const s of ['SIGINT','SIGTERM','SIGUSR2']) process.on(s, () => { require('fs').appendFileSync(${JSON.stringify(file)}, s + '\\n'); if (s === 'SIGUSR2') process.exit(0) });
process.send && process.send('ready'); setInterval(() => {}, 1000)`,
  )
  await pm2.start({ script: tells, name: 'app', kill_signal: 'SIGUSR2', wait_ready: true })
  await pm2.stop('app')
  assert.equal(fs.readFileSync(file, 'utf8'), 'SIGUSR2\n')
  const [deaf] = await pm2.start({
    script: tells,
    name: 'deaf',
    kill_signal: 'SIGTERM',
    kill_timeout: 300,
    kill_retry_time: 20,
    wait_ready: true,
  })
  const begun = Date.now()
  await pm2.stop('deaf')
  assert.ok(Date.now() - begun >= 300)
  assert.equal(isAlive(deaf.pid), false)
  assert.equal(fs.readFileSync(file, 'utf8'), 'SIGUSR2\nSIGTERM\n')
})

test('instances have their numbers and their ports', async (t) => {
  const pm2 = freshClient(t)
  const started = await pm2.start({
    script: '/bin/sleep',
    args: ['600'],
    interpreter: 'none',
    name: 'app',
    instances: 3,
    exec_mode: 'fork',
    instance_var: 'MY_NUMBER',
    increment_var: 'PORT',
    env: { PORT: 3000 },
  })
  const seen = started.map((app) => environ(app.pid))
  assert.deepEqual(
    seen.map((env) => env.MY_NUMBER),
    ['0', '1', '2'],
  )
  assert.deepEqual(
    seen.map((env) => env.PORT),
    ['3000', '3001', '3002'],
  )
  await pm2.delete(started[1].pm_id)
  await pm2.scale('app', 4)
  const all = (await pm2.describe('app')).map((app) => environ(app.pid))
  assert.deepEqual(all.map((env) => env.MY_NUMBER).sort(), ['0', '1', '2', '3'])
  assert.deepEqual(all.map((env) => env.PORT).sort(), ['3000', '3002', '3003', '3004'])
})

test('a namespace is addressed by every verb', async (t) => {
  const pm2 = freshClient(t)
  await pm2.start([
    { script, name: 'one', namespace: 'ours' },
    { script, name: 'two', namespace: 'ours' },
    { script, name: 'other', namespace: 'theirs' },
  ])
  const other = await only(pm2, 'other')
  const status = async () =>
    Object.fromEntries((await pm2.list()).map((app) => [app.name, `${app.pm2_env.status} ${app.pm2_env.restart_time}`]))
  await pm2.restart('ours')
  assert.deepEqual(await status(), { one: 'online 1', two: 'online 1', other: 'online 0' })
  await pm2.reload('ours')
  assert.deepEqual(await status(), { one: 'online 2', two: 'online 2', other: 'online 0' })
  await pm2.monitorState('monitor', 'ours')
  const monitored = (await pm2.list()).filter((app) => app.pm2_env._km_monitored).map((app) => app.name)
  assert.deepEqual(monitored, ['one', 'two'])
  await pm2.reset('ours')
  assert.deepEqual(await status(), { one: 'online 0', two: 'online 0', other: 'online 0' })
  await pm2.sendSignalToProcessName('SIGKILL', 'ours')
  await waitFor(async () => {
    const { one, two } = await status()
    return one === 'online 1' && two === 'online 1'
  })
  await pm2.reset('ours')
  await pm2.stop('ours')
  assert.deepEqual(await status(), { one: 'stopped 0', two: 'stopped 0', other: 'online 0' })
  await pm2.delete('ours')
  assert.deepEqual(await status(), { other: 'online 0' })
  assert.equal((await only(pm2, 'other')).pid, other.pid)
})

test('max, 0 and negative numbers are counted by the processors that the daemon may use', (t) => {
  const home = freshHome(t)
  // A daemon that is bound to one processor, as it would be by a limit of its container.
  const bin = path.join(__dirname, '..', '..', 'bin', 'pm2-rs')
  const env = { ...process.env, PM2_HOME: home }
  const start = (name, count) => [
    'start',
    '/bin/sleep',
    '--interpreter',
    'none',
    '--name',
    name,
    '-i',
    count,
    '--',
    '600',
  ]
  execFileSync('taskset', ['-c', '0', process.execPath, bin, ...start('all', 'max')], { env, stdio: 'pipe' })
  cli(home, start('less', '-1'))
  const list = JSON.parse(cli(home, ['jlist']).stdout)
  const count = (name) => list.filter((app) => app.name === name).length
  assert.deepEqual([count('all'), count('less')], [1, 1])
  cli(home, ['kill'])
})

test('an app that crashes while it is waited for is truthful', async (t) => {
  const pm2 = freshClient(t)
  await pm2.start({ script: fixture('crash.js'), name: 'app', wait_ready: true, autorestart: false }).catch(() => {})
  await waitFor(async () => (await only(pm2, 'app')).pm2_env.status === 'stopped')
  assert.equal((await only(pm2, 'app')).pid, 0)
})
