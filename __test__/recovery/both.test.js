'use strict'

// Keeper and daemon are killed in the same moment: the next client launches new ones, which find the apps.

const assert = require('node:assert/strict')
const { test } = require('node:test')

const { fixture, freshClient, isAlive, pidsWithEnv, waitFor } = require('../support/home.js')
const { killBoth, killDaemon, killKeeper, settled, table } = require('../support/recovery.js')

/** Waits until all are online with one restart, and gives the pids. */
const restarted = (pm2, count) =>
  waitFor(async () => {
    const now = await table(pm2)
    return now.filter((app) => app.status === 'online' && app.restarts === 1).length === count && now
  })

test('apps that outlived both are restarted, one after the other, and never run twice', async (t) => {
  const pm2 = freshClient(t)
  const apps = await pm2.start([1, 2, 3].map((n) => ({ script: fixture('forever.js'), name: `app${n}` })))
  await pm2.start({ script: fixture('forever.js'), name: 'rests' })
  await pm2.stop('rests')
  await killBoth(pm2)
  assert.ok(
    apps.every((app) => isAlive(app.pid)),
    'they outlive both',
  )
  const now = await restarted(pm2, 3)
  assert.ok(
    apps.every((app) => !isAlive(app.pid)),
    'the old ones are gone',
  )
  assert.equal(now.find((app) => app.name === 'rests').status, 'stopped')
  for (const app of now.filter((app) => app.status === 'online')) {
    assert.deepEqual(
      pidsWithEnv(`pm_id=${app.pm_id}`).filter((pid) => pidsWithEnv(`PM2_HOME=${pm2.home}`).includes(pid)),
      [app.pid],
    )
  }
})

test('apps that ended with them are started as their status says', async (t) => {
  const pm2 = freshClient(t)
  const [app, once] = await pm2.start([
    { script: fixture('forever.js'), name: 'app' },
    { script: fixture('forever.js'), name: 'once', autorestart: false },
  ])
  await killBoth(pm2)
  for (const { pid } of [app, once]) process.kill(pid, 'SIGKILL')
  await waitFor(() => !isAlive(app.pid) && !isAlive(once.pid))
  const now = await waitFor(async () => {
    const seen = await table(pm2)
    return seen[0].status === 'online' && seen
  })
  assert.ok(isAlive(now[0].pid))
  assert.equal(now[1].status, 'stopped')
})

test('with PM2_RS_ORPHANS=keep they run on and are restarted when they end', async (t) => {
  process.env.PM2_RS_ORPHANS = 'keep'
  t.after(() => delete process.env.PM2_RS_ORPHANS)
  const pm2 = freshClient(t)
  const [app, other] = await pm2.start([1, 2].map((n) => ({ script: fixture('forever.js'), name: `app${n}` })))
  await killBoth(pm2)
  assert.deepEqual(
    (await table(pm2)).map((seen) => seen.pid),
    [app.pid, other.pid],
  )
  // They stay what they are over the deaths that follow.
  await killDaemon(pm2)
  await killKeeper(pm2)
  await killDaemon(pm2)
  const kept = await table(pm2)
  assert.deepEqual(
    kept.map((seen) => [seen.pid, seen.status, seen.restarts]),
    [
      [app.pid, 'online', 0],
      [other.pid, 'online', 0],
    ],
  )
  process.kill(app.pid, 'SIGKILL')
  const again = await waitFor(async () => {
    const [seen] = await table(pm2)
    return seen.pid !== app.pid && seen.status === 'online' && seen
  })
  assert.equal(again.restarts, 1)
  await pm2.stop(other.name)
  assert.ok(!isAlive(other.pid))
})

test('a pid that belongs to another process by now is not touched', async (t) => {
  const fs = require('node:fs')
  const path = require('node:path')
  const { spawn } = require('node:child_process')
  const pm2 = freshClient(t)
  const [app] = await pm2.start({ script: fixture('forever.js'), name: 'app' })
  await killBoth(pm2)
  process.kill(app.pid, 'SIGKILL')
  await waitFor(() => !isAlive(app.pid))
  const stranger = spawn('sleep', ['1000'], { stdio: 'ignore' })
  t.after(() => stranger.kill('SIGKILL'))
  // As if the stranger had been given the pid of the app: the pid is its own, the start time is not.
  const file = path.join(pm2.home, 'pm2d.journal')
  const text = fs.readFileSync(file, 'utf8')
  assert.ok(text.includes(String(app.pid)))
  fs.writeFileSync(file, text.replaceAll(String(app.pid), String(stranger.pid)))
  const now = await waitFor(async () => {
    const [seen] = await table(pm2)
    return seen.status === 'online' && seen
  })
  assert.notEqual(now.pid, stranger.pid)
  assert.ok(isAlive(stranger.pid))
})

test('killed again while it restarts them, it goes on', async (t) => {
  const pm2 = freshClient(t)
  const apps = await pm2.start([1, 2, 3, 4, 5].map((n) => ({ script: fixture('forever.js'), name: `app${n}` })))
  await killBoth(pm2)
  const launched = await settled(pm2)
  process.kill(launched.daemon_pid, 'SIGKILL')
  const now = await waitFor(async () => {
    const seen = await table(pm2)
    return seen.every((app, at) => app.status === 'online' && app.pid !== apps[at].pid && isAlive(app.pid)) && seen
  })
  assert.ok(apps.every((app) => !isAlive(app.pid)))
  assert.equal(new Set(now.map((app) => app.pid)).size, 5)
})

test('one killed shortly after the other, in the middle of restarts: nothing runs but what the table has', async (t) => {
  const pm2 = freshClient(t)
  const names = ['one', 'two', 'three']
  await pm2.start(names.map((name) => ({ script: fixture('forever.js'), name, max_restarts: 1e6, min_uptime: 0 })))
  const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
  for (let round = 0; round < 12; round++) {
    const { keeper_pid: keeper, daemon_pid: daemon } = await settled(pm2)
    // They lose their daemon.
    const calls = names.map((name) => pm2.restart(name).catch(() => {}))
    await pause(2 * round)
    const order = round % 2 ? [keeper, daemon] : [daemon, keeper]
    process.kill(order[0], 'SIGKILL')
    await pause(Math.random() * 15)
    if (isAlive(order[1])) process.kill(order[1], 'SIGKILL')
    await Promise.all(calls)
    await waitFor(async () => {
      const apps = await table(pm2)
      const now = await settled(pm2)
      const known = [now.keeper_pid, now.daemon_pid, ...apps.map((app) => app.pid)].sort()
      const running = pidsWithEnv(`PM2_HOME=${pm2.home}`).filter(isAlive).sort()
      return apps.every((app) => app.status === 'online') && JSON.stringify(known) === JSON.stringify(running)
    }, `round ${round}: table and /proc agree`)
  }
})
