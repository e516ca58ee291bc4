'use strict'

// `cron_restart`: restarts at given times.

const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const { test } = require('node:test')

const { fixture, freshClient, waitFor } = require('../support/home.js')

const script = fixture('forever.js')
const only = async (pm2, name) => (await pm2.describe(name))[0]
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
const daemonLog = (pm2) => fs.readFileSync(path.join(pm2.home, 'pm2.log'), 'utf8')
const restarted = (pm2, name, n) =>
  waitFor(async () => (await only(pm2, name)).pm2_env.restart_time >= n, `${n} restarts`)

test('a pattern of six fields restarts every second, and starts what is stopped', async (t) => {
  const pm2 = freshClient(t)
  await pm2.start([
    { script, name: 'app', cron_restart: '* * * * * *' },
    { script, name: 'rarely', cron: '0 0 1 1 *' },
    { script, name: 'never', cron_restart: 0 },
  ])
  await restarted(pm2, 'app', 2)
  assert.match(daemonLog(pm2), /\[PM2\]\[WORKER\] Registering a cron job on: 0/)
  await pm2.stop('app')
  await waitFor(async () => (await only(pm2, 'app')).pm2_env.status === 'online', 'started by cron')
  assert.equal((await only(pm2, 'rarely')).pm2_env.restart_time, 0)
  assert.equal((await only(pm2, 'never')).pm2_env.restart_time, 0)
  await pm2.delete('app')
  assert.match(daemonLog(pm2), /\[PM2\] Deregistering a cron job on: 0/)
  await pause(1200)
  assert.equal((await pm2.list()).length, 2)
})

test('it survives the death of the daemon, and a dump', async (t) => {
  const pm2 = freshClient(t)
  await pm2.start({ script, name: 'app', cron_restart: '*/1 * * * * *' })
  await restarted(pm2, 'app', 1)
  const keeper = fs.readFileSync(path.join(pm2.home, 'pm2.pid'), 'utf8')
  const children = fs.readFileSync(`/proc/${keeper}/task/${keeper}/children`, 'utf8').trim().split(' ')
  const pid = children.find((child) => fs.readFileSync(`/proc/${child}/cmdline`, 'utf8').includes('daemon'))
  process.kill(Number(pid), 'SIGKILL')
  await restarted(pm2, 'app', 3)
  await pm2.dump()
  await pm2.delete('all')
  assert.deepEqual(await pm2.list(), [])
  const { cli } = require('../support/home.js')
  assert.equal(cli(pm2.home, ['resurrect']).status, 0)
  await restarted(pm2, 'app', 1)
})

test('cron_tz names the time zone, and a wrong one is told in the log', async (t) => {
  const pm2 = freshClient(t)
  // The hour of now in a zone that is never the same as that of the other: only one of them may be due each second.
  const hour = (zone) => new Intl.DateTimeFormat('en', { hour: 'numeric', hourCycle: 'h23', timeZone: zone }).format()
  const [here, there] = ['Asia/Tokyo', 'America/New_York']
  await pm2.start([
    { script, name: 'here', cron_restart: `* * ${hour(here)} * * *`, cron_tz: here },
    { script, name: 'there', cron_restart: `* * ${hour(here)} * * *`, cron_tz: there },
    { script, name: 'nowhere', cron_restart: '* * * * * *', cron_tz: 'Mars/Olympus' },
  ])
  await restarted(pm2, 'here', 1)
  assert.equal((await only(pm2, 'there')).pm2_env.restart_time, 0)
  assert.equal((await only(pm2, 'nowhere')).pm2_env.restart_time, 0)
  assert.match(daemonLog(pm2), /Mars\/Olympus/)
})

test('a pattern that is none is refused and nothing is started', async (t) => {
  const pm2 = freshClient(t)
  await assert.rejects(pm2.start({ script, name: 'app', cron_restart: '* * *' }), /Cron pattern error: /)
  assert.deepEqual(await pm2.list(), [])
})
