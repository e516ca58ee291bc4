'use strict'

// A daemon that is there and says nothing: its keeper does something about it, and clients are told.

const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const { test } = require('node:test')

const { fixture, freshClient, root, waitFor } = require('../support/home.js')
const { goesOn, info, killDaemon, numbersApp, settled, table } = require('../support/recovery.js')

/** A variable of this process, for the length of one test. */
function withVariable(t, name, value) {
  process.env[name] = value
  t.after(() => delete process.env[name])
}

const log = (pm2) => fs.readFileSync(path.join(pm2.home, 'pm2.log'), 'utf8')

test('a daemon that somebody stopped is continued by its keeper, and answers again', async (t) => {
  withVariable(t, 'PM2_RS_HANG_LIMIT', '1.5')
  const pm2 = freshClient(t)
  await pm2.start({ script: fixture('forever.js'), name: 'app' })
  const before = await table(pm2)
  process.kill((await info(pm2)).daemon_pid, 'SIGSTOP')
  assert.deepEqual(await table(pm2), before)
  assert.match(log(pm2), /\[keeper\] the daemon was stopped \(SIGSTOP\) and nobody continued it: continuing it/)
})

test('a keeper that somebody stopped is continued by the daemon', async (t) => {
  withVariable(t, 'PM2_RS_HANG_LIMIT', '1.5')
  const pm2 = freshClient(t)
  const [app] = await pm2.start({ script: numbersApp, name: 'app' })
  const before = await info(pm2)
  process.kill(before.keeper_pid, 'SIGSTOP')
  // The keeper starts it, so it runs again.
  await pm2.start({ script: fixture('forever.js'), name: 'next' })
  assert.match(log(pm2), /the keeper was stopped \(SIGSTOP\) and nobody continued it: continuing it/)
  const after = await settled(pm2)
  assert.deepEqual([after.keeper_pid, after.daemon_pid], [before.keeper_pid, before.daemon_pid])
  await goesOn(app)
})

test('calls to a daemon that says nothing at all fail with words; a call that takes long does not', async (t) => {
  withVariable(t, 'PM2_RS_HANG_LIMIT', '0')
  const pm2 = freshClient(t)
  const [app] = await pm2.start({ script: fixture('stubborn.js'), name: 'app', kill_timeout: 9000 })
  await waitFor(() => fs.readFileSync(app.pm2_env.pm_out_log_path, 'utf8').includes('is up'))
  const { daemon_pid: daemon } = await info(pm2)
  withVariable(t, 'PM2_RS_ANSWER_LIMIT', '6')
  const { custom } = require(root)
  const other = new custom({ pm2_home: pm2.home })
  t.after(() => other.disconnect().catch(() => {}))
  // Longer than the limit: the daemon is asked for a sign of life meanwhile, and gives it.
  await other.stop('app')
  process.kill(daemon, 'SIGSTOP')
  t.after(() => process.kill(daemon, 'SIGCONT'))
  await assert.rejects(other.list(), (error) => {
    assert.equal(error.code, 'DAEMON_NOT_ANSWERING')
    assert.match(error.message, /^the daemon does not answer: it has said nothing for \d+ s/)
    return true
  })
  process.kill(daemon, 'SIGCONT')
  assert.equal((await other.list())[0].name, 'app')
})

test('daemons that die again and again: said in pm2.log and by the client; it goes on when the reason is gone', async (t) => {
  const pm2 = freshClient(t)
  const [app] = await pm2.start({ script: fixture('forever.js'), name: 'app' })
  const before = await table(pm2)
  const journal = path.join(pm2.home, 'pm2d.journal')
  // One byte, in place: a daemon may read the file at any moment.
  const at = fs.readFileSync(journal, 'latin1').indexOf('"pm2rs_journal":1') + '"pm2rs_journal":'.length
  const write = (version) => {
    const file = fs.openSync(journal, 'r+')
    fs.writeSync(file, version, at)
    fs.closeSync(file)
  }
  write('9')
  process.kill((await info(pm2)).daemon_pid, 'SIGKILL')
  await waitFor(() => fs.existsSync(path.join(pm2.home, 'pm2d.trouble')))
  assert.match(log(pm2), /\[keeper\] the daemon dies again and again/)
  await assert.rejects(pm2.list(), (error) => {
    assert.equal(error.code, 'DAEMON_NOT_ANSWERING')
    assert.match(error.message, /dies again and again \(the daemon cannot serve .*newer pm2-rs.*\); apps run on/)
    return true
  })
  write('1')
  assert.deepEqual(await waitFor(() => table(pm2)), before)
  assert.equal(before[0].pid, app.pid)
  await killDaemon(pm2)
  assert.deepEqual(await table(pm2), before)
})
