'use strict'

// The environment of an app: where it comes from, and that nothing in it goes stale.

const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const { test } = require('node:test')

const { cli, environOf, fixture, freshClient, waitFor } = require('../support/home.js')

const script = fixture('forever.js')

/** What the process really has; only what tests set, without what all apps have. */
function environ(pid) {
  const lines = environOf(pid)
  const pairs = lines.map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)])
  return Object.fromEntries(pairs.filter(([name]) => /^(TEST_|PORT$)/.test(name)))
}

const of = async (pm2, name) => environ((await pm2.describe(name))[0].pid)

/** Sets variables of this process, the caller, until the test ends; `undefined` takes one away. */
function set(t, variables) {
  for (const [name, value] of Object.entries(variables)) {
    if (value === undefined) delete process.env[name]
    else process.env[name] = value
    t.after(() => delete process.env[name])
  }
}

function daemonOf(pm2) {
  const keeper = fs.readFileSync(path.join(pm2.home, 'pm2.pid'), 'utf8')
  const children = fs.readFileSync(`/proc/${keeper}/task/${keeper}/children`, 'utf8').trim().split(' ')
  return Number(children.find((pid) => fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('daemon')))
}

test('a variable that the caller no longer has leaves the app with updateEnv; what is its own stays', async (t) => {
  const pm2 = freshClient(t)
  set(t, { TEST_OLD: 'shell', TEST_BOTH: 'shell' })
  await pm2.start(
    { script, name: 'app', env: { TEST_OWN: 'app', TEST_BOTH: 'app' }, env_prod: { TEST_PROD: '1' } },
    { env: 'prod' },
  )
  assert.deepEqual(await of(pm2, 'app'), { TEST_OLD: 'shell', TEST_BOTH: 'app', TEST_OWN: 'app', TEST_PROD: '1' })
  set(t, { TEST_OLD: undefined, TEST_NEW: 'shell' })
  await pm2.restart('app')
  assert.equal((await of(pm2, 'app')).TEST_OLD, 'shell', 'a plain restart changes nothing')
  await pm2.restart('app', { updateEnv: true })
  // The caller's goes over the app's, as in pm2.
  assert.deepEqual(await of(pm2, 'app'), { TEST_NEW: 'shell', TEST_BOTH: 'shell', TEST_OWN: 'app', TEST_PROD: '1' })
  set(t, { TEST_NEW: undefined, TEST_BOTH: undefined })
  await pm2.reload('app', { updateEnv: true })
  assert.deepEqual(await of(pm2, 'app'), { TEST_BOTH: 'app', TEST_OWN: 'app', TEST_PROD: '1' })
  const record = (await pm2.describe('app'))[0].pm2_env
  assert.deepEqual([record.TEST_OLD, record.TEST_NEW, record.env.TEST_OLD, record.pm2rs], Array(4).fill(undefined))
})

test('the same after the daemon was killed, and after a dump', async (t) => {
  const pm2 = freshClient(t)
  set(t, { TEST_OLD: 'shell' })
  await pm2.start(script, { name: 'app', env: { TEST_OWN: 'app' } })
  const before = daemonOf(pm2)
  process.kill(before, 'SIGKILL')
  await waitFor(() => daemonOf(pm2) && daemonOf(pm2) !== before, 'the next daemon')
  set(t, { TEST_OLD: undefined, TEST_NEXT: 'shell' })
  await pm2.restart('app', { updateEnv: true })
  assert.deepEqual(await of(pm2, 'app'), { TEST_OWN: 'app', TEST_NEXT: 'shell' })
  await pm2.dump()
  await pm2.delete('all')
  await pm2.resurrect()
  set(t, { TEST_NEXT: undefined })
  await pm2.restart('app', { updateEnv: true })
  assert.deepEqual(await of(pm2, 'app'), { TEST_OWN: 'app' })
})

test('the command line does the same', async (t) => {
  const pm2 = freshClient(t)
  const run = (args, env) => assert.equal(cli(pm2.home, args, { env }).status, 0)
  run(['start', script, '--name', 'app'], { TEST_A: '1' })
  run(['restart', 'app', '--update-env'], { TEST_B: '2' })
  assert.deepEqual(await of(pm2, 'app'), { TEST_B: '2' })
})

test("a stock client's restart merges, as it does with pm2; ours then takes away what nobody has", async (t) => {
  const pm2 = freshClient(t)
  const stock = (args, env) => assert.equal(cli(pm2.home, args, { stock: true, env }).status, 0)
  await pm2.start(script, { name: 'app', env: { TEST_OWN: 'app' } })
  stock(['restart', 'app', '--update-env'], { TEST_A: '1' })
  stock(['restart', 'app', '--update-env'], { TEST_B: '2' })
  assert.deepEqual(await of(pm2, 'app'), { TEST_OWN: 'app', TEST_A: '1', TEST_B: '2' })
  await pm2.restart('app', { updateEnv: true })
  assert.deepEqual(await of(pm2, 'app'), { TEST_OWN: 'app' })
})

test('a variable that leaves a config file leaves the app', async (t) => {
  const pm2 = freshClient(t)
  await pm2.start({ script, name: 'app', env: { TEST_A: '1', TEST_B: '1' } })
  await pm2.start({ script, name: 'app', env: { TEST_B: '2' } })
  assert.deepEqual(await of(pm2, 'app'), { TEST_B: '2' })
})

test('each instance keeps its port, whatever is restarted how', async (t) => {
  const pm2 = freshClient(t)
  const app = { script, name: 'app', instances: 3, exec_mode: 'fork', increment_var: 'PORT', env: { PORT: 3000 } }
  const ports = async () => (await pm2.describe('app')).map((one) => environ(one.pid).PORT).join(' ')
  await pm2.start(app)
  assert.equal(await ports(), '3000 3001 3002')
  await pm2.start(app)
  assert.equal(await ports(), '3000 3001 3002')
  await pm2.restart('app', { updateEnv: true })
  assert.equal(await ports(), '3000 3001 3002')
  await pm2.dump()
  await pm2.delete('all')
  await pm2.resurrect()
  await pm2.reload({ ...app, env: { PORT: 4000 } })
  assert.equal(await ports(), '4000 4001 4002')
  await pm2.scale('app', 4)
  assert.equal(await ports(), '4000 4001 4002 4003')
  await pm2.restart('app', { updateEnv: true })
  assert.equal(await ports(), '4000 4001 4002 4003')
})

test('filter_env keeps variables away: by part of a name, by name, all', async (t) => {
  const pm2 = freshClient(t)
  set(t, { TEST_SECRET_A: '1', TEST_B: '1' })
  const own = { TEST_OWN: '1' }
  await pm2.start([
    { script, name: 'parts', filter_env: ['SECRET'], env: own },
    { script, name: 'exact', filter_env: 'TEST_B', env: own },
    { script: '/bin/sleep', args: ['600'], interpreter: 'none', name: 'all', filter_env: true, env: own },
  ])
  assert.deepEqual(await of(pm2, 'parts'), { TEST_B: '1', TEST_OWN: '1' })
  assert.deepEqual(await of(pm2, 'exact'), { TEST_SECRET_A: '1', TEST_OWN: '1' })
  assert.deepEqual(await of(pm2, 'all'), { TEST_OWN: '1' })
  assert.equal(process.env.TEST_B, '1', "the caller's own environment is left alone")
})

test('env_<name> goes over env, and the name of it into the name of the app', async (t) => {
  const pm2 = freshClient(t)
  const app = { script, name: 'app', append_env_to_name: true, env: { TEST_A: 'plain' }, env_prod: { TEST_A: 'prod' } }
  await pm2.start(app, { env: 'prod' })
  assert.deepEqual(await of(pm2, 'app-prod'), { TEST_A: 'prod' })
})
