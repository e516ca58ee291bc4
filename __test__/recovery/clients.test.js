'use strict'

// What clients see of a kill: their calls are refused with a reason or asked again, their bus comes back.

const assert = require('node:assert/strict')
const { test } = require('node:test')

const { fixture, freshClient, waitFor } = require('../support/home.js')
const { killDaemon, numbersApp, settled, table } = require('../support/recovery.js')

test('a call in flight is refused with DAEMON_GONE, a read is asked again', async (t) => {
  const pm2 = freshClient(t)
  const [app] = await pm2.start({ script: fixture('stubborn.js'), name: 'app', kill_timeout: 6000 })
  await waitFor(() => require('node:fs').readFileSync(app.pm2_env.pm_out_log_path, 'utf8').includes('is up'))
  const { daemon_pid: daemon } = await settled(pm2)
  const stopping = pm2.stop('app')
  stopping.catch(() => {})
  await waitFor(async () => (await table(pm2))[0].status === 'stopping')
  // Stopped, so that the read is in flight when it dies.
  process.kill(daemon, 'SIGSTOP')
  const reading = pm2.list()
  process.kill(daemon, 'SIGKILL')
  assert.equal((await reading)[0].name, 'app')
  await assert.rejects(stopping, (error) => error.code === 'DAEMON_GONE' && /went away/.test(error.message))
  // What was asked for goes on all the same.
  assert.equal((await table(pm2))[0].status, 'stopping')
})

test('a stop in its grace time is finished by the next daemon', async (t) => {
  const pm2 = freshClient(t)
  const [app] = await pm2.start({ script: fixture('stubborn.js'), name: 'app', kill_timeout: 1500 })
  await waitFor(() => require('node:fs').readFileSync(app.pm2_env.pm_out_log_path, 'utf8').includes('is up'))
  pm2.stop('app').catch(() => {})
  await waitFor(async () => (await table(pm2))[0].status === 'stopping')
  await killDaemon(pm2)
  await waitFor(async () => (await table(pm2))[0].status === 'stopped')
})

test('a back-off and a restart that waits go on', async (t) => {
  const pm2 = freshClient(t)
  await pm2.start({ script: fixture('crash.js'), name: 'app', restart_delay: 1500 })
  await waitFor(async () => (await table(pm2))[0].status === 'waiting restart')
  await killDaemon(pm2)
  await waitFor(async () => (await table(pm2))[0].restarts > 0)
})

test('the bus connects again by itself and goes on', async (t) => {
  const pm2 = freshClient(t)
  await pm2.start({ script: numbersApp, name: 'app' })
  const bus = await new Promise((resolve, reject) =>
    pm2.launchBus((error, bus) => (error ? reject(error) : resolve(bus))),
  )
  let heard = 0
  bus.on('number', () => {
    heard += 1
  })
  for (let round = 0; round < 3; round++) {
    const before = heard
    await waitFor(() => heard > before + 5, `messages in round ${round}`)
    await killDaemon(pm2)
  }
  const before = heard
  await waitFor(() => heard > before + 5, 'messages after the last kill')
})
