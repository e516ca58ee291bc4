'use strict'

// A reload loses no request; a new version that does not come up changes nothing.

const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const { test } = require('node:test')

const { interpreter, startCluster } = require('../support/cluster.js')
const { fixture, isAlive, waitFor } = require('../support/home.js')
const { startLoad } = require('../support/load.js')

const RELOADS = Number(process.env.PM2_RS_TEST_RELOADS ?? 5)

/** Reloads again and again under load; everything must be answered, by new processes in the end. */
async function reloadUnderLoad(t, options, loadOptions) {
  const { pm2, port, pids } = await startCluster(t, options)
  const load = startLoad({ t, port, clients: 6, ...loadOptions })
  for (let round = 0; round < RELOADS; round++) {
    const seen = load.requests
    await waitFor(() => load.requests >= seen + 30)
    const reloaded = await pm2.reload('web')
    assert.equal(reloaded.length, options.instances)
    assert.deepEqual(load.failures, [], `after reload ${round + 1}`)
  }
  const { failures, requests } = await load.stop()
  assert.deepEqual(failures, [])
  t.diagnostic(`${requests} requests, ${RELOADS} reloads of ${options.instances}: 0 failed`)
  for (const pid of pids) assert.ok(!isAlive(pid), `${pid} is gone`)
  for (const app of await pm2.list()) {
    assert.equal(app.pm2_env.status, 'online')
    assert.equal(app.pm2_env.restart_time, RELOADS)
    assert.ok(!pids.includes(app.pid))
  }
}

test('2 workers, a connection for each request', (t) => reloadUnderLoad(t, { instances: 2 }, {}))
test('4 workers, a connection for each request', (t) => reloadUnderLoad(t, { instances: 4, reload_parallel: 2 }, {}))
test('2 workers, kept connections', (t) => reloadUnderLoad(t, { instances: 2 }, { keepAlive: true }))
test('a single worker loses nothing either', (t) => reloadUnderLoad(t, { instances: 1 }, {}))
test('2 workers with TLS', (t) =>
  reloadUnderLoad(t, { instances: 2, script: fixture('cluster/https.js') }, { tls: true }))
test('2 sticky workers', (t) => reloadUnderLoad(t, { instances: 2, sticky: true }, {}))
test('2 workers without the probe, kept connections', (t) =>
  reloadUnderLoad(t, { instances: 2, pmx: false }, { keepAlive: true }))
test('2 workers that share the socket', (t) =>
  reloadUnderLoad(t, { instances: 2, env: { NODE_CLUSTER_SCHED_POLICY: 'none', PORT: 0 } }, {}))

test('the answer to a reload is the new worker', async (t) => {
  const { pm2, pids } = await startCluster(t, { instances: 1 })
  const [reloaded] = await pm2.reload('web')
  assert.deepEqual([reloaded.pm_id, reloaded.status, reloaded.restart_time], [0, 'online', 1])
  const [now] = await pm2.describe('web')
  assert.ok(isAlive(now.pid) && !pids.includes(now.pid))
})

test('a new version that crashes at its start leaves the old one in place, and says so', async (t) => {
  const crash = path.join(fs.mkdtempSync(path.join(require('node:os').tmpdir(), 'pm2-rs-')), 'crash')
  t.after(() => fs.rmSync(path.dirname(crash), { recursive: true }))
  const { pm2, port, pids } = await startCluster(t, { instances: 2, env: { CRASH_FILE: crash, PORT: 0 } })
  const load = startLoad({ t, port, clients: 4 })
  fs.writeFileSync(crash, '')
  await assert.rejects(
    pm2.reload('web', { force: true }),
    /Reload of process id 0 failed, the old process stays: the new process exited with code 1 before it was ready/,
  )
  fs.rmSync(crash)
  const seen = load.requests
  await waitFor(() => load.requests >= seen + 30)
  const { failures } = await load.stop()
  assert.deepEqual(failures, [])
  assert.deepEqual((await pm2.list()).map((app) => app.pid).sort(), [...pids].sort())
})

test('a new version that is never ready leaves the old one in place, if it must be', async (t) => {
  const folder = fs.mkdtempSync(path.join(require('node:os').tmpdir(), 'pm2-rs-'))
  t.after(() => fs.rmSync(folder, { recursive: true }))
  const gate = path.join(folder, 'gate')
  const app = {
    script: fixture('cluster/gate.js'),
    name: 'web',
    exec_mode: 'cluster',
    ...interpreter,
    instances: 2,
    env: { GATE: gate, READY: '1' },
    wait_ready: true,
    ready_timeout: 'error',
    listen_timeout: 60_000,
    kill_timeout: 500,
  }
  const { pm2, port, pids } = await startCluster(t, app)
  fs.writeFileSync(gate, '')
  const load = startLoad({ t, port, clients: 2 })
  // The gate is never opened: the limit may be short.
  const impatient = pm2.reload([{ ...app, listen_timeout: 400 }])
  await assert.rejects(impatient, /the old process stays: the process was not ready within 400ms/)
  const seen = load.requests
  await waitFor(() => load.requests >= seen + 20)
  const { failures } = await load.stop()
  assert.deepEqual(failures, [])
  assert.deepEqual((await pm2.list()).map((app) => app.pid).sort(), [...pids].sort())
})

test('an app that never listens is replaced after listen_timeout', async (t) => {
  const { pm2, started } = await startCluster(t, {
    script: fixture('cluster/idle.js'),
    instances: 1,
    listen_timeout: 300,
    kill_timeout: 500,
  })
  const begin = Date.now()
  const [reloaded] = await pm2.reload('web')
  assert.ok(Date.now() - begin >= 300)
  assert.equal(reloaded.status, 'online')
  assert.ok(!isAlive(started[0].pid))
})

test('a SIGINT handler still runs when a worker is replaced or scaled away', async (t) => {
  const folder = fs.mkdtempSync(path.join(require('node:os').tmpdir(), 'pm2-rs-'))
  t.after(() => fs.rmSync(folder, { recursive: true }))
  const file = path.join(folder, 'said')
  fs.writeFileSync(file, '')
  const { pm2, pids } = await startCluster(t, {
    script: fixture('cluster/handler.js'),
    instances: 2,
    env: { SAID_FILE: file },
  })
  const said = () => fs.readFileSync(file, 'utf8').split('\n').filter(Boolean).map(Number)
  await pm2.reload('web')
  assert.deepEqual(said().sort(), [...pids].sort())
  await pm2.scale('web', 1)
  assert.equal(said().length, 3)
})
