'use strict'

// `update` to another version and back, while lines are written, messages sent and requests answered: nobody notices.

const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const { test } = require('node:test')

const { clientWithBus, startWith } = require('../support/cluster.js')
const { fixture, waitFor } = require('../support/home.js')
const { startLoad } = require('../support/load.js')
const { goesOn, info, numbers, numbersApp, otherVersion, pm2d, table, update } = require('../support/recovery.js')

test('an update under load: same pids, no restart, no request failed, no line lost', async (t) => {
  const context = await clientWithBus(t)
  const { pm2 } = context
  const portFile = path.join(path.dirname(pm2.home), 'port')
  const env = { EVERY_MS: '10' }
  const apps = await pm2.start([
    { script: numbersApp, name: 'web', env: { ...env, PORT_FILE: portFile } },
    { script: numbersApp, name: 'writer', env },
    { script: numbersApp, name: 'dated', env, log_date_format: 'HH:mm' },
  ])
  const { port } = await startWith(context, { script: fixture('cluster/http.js'), name: 'cluster', instances: 2 })
  const own = startLoad({ t, port: await waitFor(() => Number(fs.readFileSync(portFile, 'utf8'))), clients: 2 })
  // New connections come through the daemon, those that are kept alive are the workers' own.
  const shared = startLoad({ t, port, clients: 2 })
  const kept = startLoad({ t, port, clients: 2, keepAlive: true })
  const [before, was] = [await table(pm2), await info(pm2)]
  const next = otherVersion(t, '9.9.9')
  t.after(() => delete process.env.PM2_RS_DAEMON)
  for (const [executable, version] of [
    [next, '9.9.9'],
    [pm2d, was.version],
    [next, '9.9.9'],
  ]) {
    process.env.PM2_RS_DAEMON = executable
    assert.deepEqual(await update(pm2), { success: true })
    const now = await info(pm2)
    assert.equal(now.version, version)
    assert.equal(now.keeper_pid, was.keeper_pid)
    await waitFor(() => fs.readlinkSync(`/proc/${now.keeper_pid}/exe`) === executable, 'the keeper follows')
    const asked = [own, shared, kept].map((load) => load.requests)
    await waitFor(() => [own, shared, kept].every((load, at) => load.requests > asked[at] + 10), 'requests go on')
    await goesOn(apps[1])
  }
  const loads = await Promise.all([own, shared, kept].map((load) => load.stop()))
  t.diagnostic(loads.map(({ requests }) => `${requests} requests`).join(', '))
  assert.deepEqual(
    loads.map(({ failures }) => failures),
    [[], [], []],
  )
  assert.deepEqual(await table(pm2), before)
  for (const app of apps.slice(0, 2)) assert.deepEqual([...numbers(app.pm2_env.pm_out_log_path).keys()], [app.pid])
  // Formatted lines are there at least once.
  const dated = fs.readFileSync(apps[2].pm2_env.pm_out_log_path, 'utf8').split('\n').slice(0, -1)
  const seen = dated.map((line) => Number(/^\d\d:\d\d: n \d+ (\d+)$/.exec(line)?.[1]))
  assert.deepEqual(
    [...new Set(seen)],
    Array.from(new Set(seen), (_, at) => at + 1),
  )
  // Messages: what is said after the last update was heard by the next daemon in its order, nothing before it is torn.
  const heard = new Map()
  for (const { pid, number } of context.said('number')) {
    assert.ok(number > (heard.get(pid) ?? 0), `${number} after ${heard.get(pid)} of ${pid}`)
    heard.set(pid, number)
  }
  assert.equal(heard.size, 3)
})
