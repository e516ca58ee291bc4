'use strict'

// The keeper is killed, the daemon is killed, again and again: no app notices.

const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const { test } = require('node:test')

const { fixture, freshClient, isAlive, pidsWithEnv, waitFor } = require('../support/home.js')
const { goesOn, info, killDaemon, killKeeper, numbers, numbersApp, settled, table } = require('../support/recovery.js')

/** SCHED_BATCH of sched(7). */
const BATCH = 3
/** The scheduling policy: field 41 of proc_pid_stat(5). */
const policyOf = (pid) =>
  Number(
    fs
      .readFileSync(`/proc/${pid}/stat`, 'latin1')
      .replace(/^.*\) /s, '')
      .split(' ')[38],
  )

test('a killed keeper is followed by another, and a killed daemon after it, and again', async (t) => {
  const pm2 = freshClient(t)
  const apps = await pm2.start([
    { script: numbersApp, name: 'one' },
    { script: numbersApp, name: 'two' },
    { script: fixture('forever.js'), name: 'quiet' },
  ])
  const before = await table(pm2)
  for (let round = 0; round < 3; round++) {
    const after = await killKeeper(pm2)
    assert.equal(fs.readFileSync(path.join(pm2.home, 'pm2.pid'), 'utf8'), String(after.keeper_pid))
    assert.deepEqual(await table(pm2), before, `after keeper ${round}`)
    await goesOn(apps[0])
    await killDaemon(pm2)
    assert.deepEqual(await table(pm2), before, `after daemon ${round}`)
    await goesOn(apps[1])
  }
  for (const app of apps.slice(0, 2)) {
    assert.deepEqual([...numbers(app.pm2_env.pm_out_log_path).keys()], [app.pid])
  }
})

test('after the death of the keeper apps are started, stopped, and their ends are seen', async (t) => {
  const pm2 = freshClient(t)
  const [old] = await pm2.start({ script: fixture('forever.js'), name: 'old' })
  await killKeeper(pm2)
  process.kill(old.pid, 'SIGKILL')
  const again = await waitFor(async () => {
    const [app] = await pm2.describe('old')
    return app.pid !== old.pid && app.pm2_env.status === 'online' && app
  })
  assert.equal(again.pm2_env.restart_time, 1)
  const [fresh] = await pm2.start({ script: fixture('forever.js'), name: 'fresh' })
  assert.ok(isAlive(fresh.pid))
  const { daemon_pid: daemon } = await info(pm2)
  // That of whoever starts us, where that was chosen.
  const own = policyOf(process.pid)
  const wanted = [own, own, own === 0 ? BATCH : own]
  assert.deepEqual([again.pid, fresh.pid, daemon].map(policyOf), wanted, 'only the daemon waits for its turns')
  await pm2.stop('all')
  assert.ok(!isAlive(again.pid) && !isAlive(fresh.pid))
})

test('an app that ends while there is no keeper is started again', async (t) => {
  const pm2 = freshClient(t)
  const [app] = await pm2.start({ script: fixture('forever.js'), name: 'app' })
  const before = await info(pm2)
  // The daemon is stopped, so that it sees both deaths at once.
  process.kill(before.daemon_pid, 'SIGSTOP')
  process.kill(before.keeper_pid, 'SIGKILL')
  process.kill(app.pid, 'SIGKILL')
  await waitFor(() => !isAlive(app.pid) && !isAlive(before.keeper_pid))
  process.kill(before.daemon_pid, 'SIGCONT')
  const after = await waitFor(async () => {
    const [seen] = await pm2.describe('app')
    return seen.pid !== app.pid && seen.pm2_env.status === 'online' && seen
  })
  assert.equal(after.pm2_env.restart_time, 1)
})

test('starts that were asked for when the keeper died happen, once', async (t) => {
  const pm2 = freshClient(t)
  const before = await info(pm2)
  process.kill(before.keeper_pid, 'SIGSTOP')
  const starting = pm2.start({ script: fixture('forever.js'), name: 'app', instances: 5, exec_mode: 'fork' })
  await waitFor(async () => (await pm2.list()).length > 0)
  process.kill(before.keeper_pid, 'SIGKILL')
  const apps = await starting
  assert.equal(apps.length, 5)
  const pids = (await table(pm2)).map((app) => app.pid)
  assert.ok(pids.every(isAlive))
  await settled(pm2, (now) => now.keeper_pid !== before.keeper_pid)
  assert.equal(new Set(pids).size, 5)
  const run = pidsWithEnv(`PM2_HOME=${pm2.home}`).filter((pid) => pidsWithEnv('name=app').includes(pid))
  assert.deepEqual(run.sort(), pids.sort(), 'no process but these')
})

test('the daemon ends in the orderly way after its keeper was replaced', async (t) => {
  const pm2 = freshClient(t)
  const [app] = await pm2.start({ script: fixture('forever.js'), name: 'app' })
  const after = await killKeeper(pm2)
  process.kill(after.keeper_pid, 'SIGTERM')
  await waitFor(() => !isAlive(after.keeper_pid) && !isAlive(after.daemon_pid))
  assert.ok(!isAlive(app.pid))
  assert.equal(fs.existsSync(path.join(pm2.home, 'pm2.pid')), false)
  assert.equal(fs.existsSync(path.join(pm2.home, 'rpc.sock')), false)
})
