'use strict'

// `update`: another executable takes over in place, and when it does not come up the old one goes on.

const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const { test } = require('node:test')

const { cli, fixture, freshClient, freshHome, isAlive, root, waitFor } = require('../support/home.js')
const { goesOn, info, killDaemon, killKeeper, numbers, numbersApp } = require('../support/recovery.js')
const { pm2d, table, update } = require('../support/recovery.js')

/** Another executable, for the length of one test. */
function withDaemon(t, file) {
  process.env.PM2_RS_DAEMON = file
  t.after(() => delete process.env.PM2_RS_DAEMON)
}

/** A copy of ours under another name, as a new version would be. */
function copyOfOurs(t, name = 'pm2d-next') {
  const folder = fs.mkdtempSync(path.join(require('node:os').tmpdir(), 'pm2-rs-next-'))
  t.after(() => fs.rmSync(folder, { recursive: true }))
  const file = path.join(folder, name)
  fs.copyFileSync(pm2d, file)
  fs.chmodSync(file, 0o755)
  return file
}

function script(t, text) {
  const file = copyOfOurs(t)
  fs.rmSync(file)
  fs.writeFileSync(file, text, { mode: 0o755 })
  return file
}

const exe = (pid) => fs.readlinkSync(`/proc/${pid}/exe`)

test('daemon and keeper become the new executable; no app is restarted, no line is lost', async (t) => {
  const pm2 = freshClient(t)
  const apps = await pm2.start([
    { script: numbersApp, name: 'one' },
    { script: fixture('forever.js'), name: 'two' },
  ])
  const [before, was] = [await table(pm2), await info(pm2)]
  const next = copyOfOurs(t)
  withDaemon(t, next)
  for (let round = 1; round <= 3; round++) {
    assert.deepEqual(await update(pm2), { success: true })
    assert.deepEqual(await table(pm2), before)
    await goesOn(apps[0])
  }
  const now = await info(pm2)
  assert.equal(now.keeper_pid, was.keeper_pid, 'the keeper is renewed in place')
  assert.equal(exe(now.daemon_pid), next)
  await waitFor(() => exe(now.keeper_pid) === next)
  // The renewed pair does all that the first one did.
  await killDaemon(pm2)
  await killKeeper(pm2)
  await killDaemon(pm2)
  assert.deepEqual(await table(pm2), before)
  await goesOn(apps[0])
  assert.deepEqual([...numbers(apps[0].pm2_env.pm_out_log_path).keys()], [apps[0].pid])
  process.kill(apps[1].pid, 'SIGKILL')
  await waitFor(async () => (await table(pm2))[1].restarts === 1)
})

test('after an update an app that was started before is reaped with its exit code', async (t) => {
  const pm2 = freshClient(t)
  const flag = path.join(path.dirname(pm2.home), 'flag')
  const file = path.join(path.dirname(pm2.home), 'wait.sh')
  fs.writeFileSync(file, `while [ ! -e ${flag} ]; do sleep 0.02; done; exit 7\n`)
  await pm2.start({ script: file, name: 'app', autorestart: false })
  await update(pm2)
  fs.writeFileSync(flag, '')
  const app = await waitFor(async () => {
    const [seen] = await pm2.describe('app')
    return seen.pm2_env.status === 'stopped' && seen
  })
  assert.equal(app.pm2_env.exit_code, 7)
})

test('an executable that is none, too old, or cannot be asked is refused at once', async (t) => {
  const pm2 = freshClient(t)
  await pm2.start({ script: fixture('forever.js'), name: 'app' })
  const [before, was] = [await table(pm2), await info(pm2)]
  const old = JSON.stringify({ version: '0.0.1', pm2_version: '7.0.4', journal: 0, keeper: 1 })
  for (const [file, words] of [
    ['/nonexistent/pm2d', /cannot update to \/nonexistent\/pm2d/],
    [script(t, '#!/bin/sh\necho hello\n'), /it is no pm2d/],
    [script(t, `#!/bin/sh\necho '${old}'\n`), /older/],
  ]) {
    withDaemon(t, file)
    await assert.rejects(update(pm2), words)
  }
  assert.equal((await info(pm2)).daemon_pid, was.daemon_pid)
  assert.deepEqual(await table(pm2), before)
})

/** Keeper and executable are those that `was` tells of, and the app has gone on writing its numbers. */
async function carriesOn(pm2, was, app) {
  const now = await info(pm2)
  assert.equal(now.keeper_pid, was.keeper_pid)
  assert.equal(exe(now.daemon_pid), pm2d)
  await goesOn(app)
  numbers(app.pm2_env.pm_out_log_path)
}

test('an executable that does not come up is taken back, and the caller is told', async (t) => {
  const pm2 = freshClient(t)
  const [app] = await pm2.start({ script: numbersApp, name: 'app' })
  const [before, was] = [await table(pm2), await info(pm2)]
  const versions = JSON.stringify({ version: '9.9.9', pm2_version: '7.0.4', journal: 9, keeper: 9 })
  withDaemon(t, script(t, `#!/bin/sh\n[ "$1" = --versions ] && echo '${versions}' && exit 0\nexit 3\n`))
  await assert.rejects(
    update(pm2),
    (error) => /did not come up.*code 3/.test(error.message) && error.code === 'UPDATE_FAILED',
  )
  assert.deepEqual(await table(pm2), before)
  await carriesOn(pm2, was, app)
  delete process.env.PM2_RS_DAEMON
  assert.deepEqual(await update(pm2), { success: true })
})

test('an executable that cannot be run, hangs, or is of another machine: the old one goes on', async (t) => {
  const pm2 = freshClient(t)
  const [app] = await pm2.start({ script: numbersApp, name: 'app' })
  const [before, was] = [await table(pm2), await info(pm2)]
  const versions = JSON.stringify({ version: '9.9.9', pm2_version: '7.0.4', journal: 9, keeper: 9 })
  const notExecutable = copyOfOurs(t)
  fs.chmodSync(notExecutable, 0o644)
  const foreign = copyOfOurs(t)
  const file = fs.openSync(foreign, 'r+')
  // e_machine of the ELF header: 0x2a is SuperH.
  fs.writeSync(file, Buffer.from([0x2a, 0]), 0, 2, 18)
  fs.closeSync(file)
  const gone = script(t, `#!/bin/sh\n[ "$1" = --versions ] && echo '${versions}' && rm "$0"\n`)
  const hangs = script(t, `#!/bin/sh\n[ "$1" = --versions ] && echo '${versions}' && exit 0\nexec sleep 1000\n`)
  for (const [executable, words] of [
    [notExecutable, /cannot update to .*[Pp]ermission denied/],
    [foreign, /cannot update to .*(Exec format error|no pm2d)/],
    [gone, /did not come up: cannot start the daemon .*No such file/],
    [hangs, /did not come up.*SIGKILL/],
  ]) {
    withDaemon(t, executable)
    await assert.rejects(update(pm2), words)
    assert.deepEqual(await table(pm2), before)
  }
  await carriesOn(pm2, was, app)
})

test('the journal of a newer daemon stops an older one with words, not with a lost list', async (t) => {
  const pm2 = freshClient(t)
  const [app] = await pm2.start({ script: fixture('forever.js'), name: 'app' })
  const { killBoth } = require('../support/recovery.js')
  await killBoth(pm2)
  const file = path.join(pm2.home, 'pm2d.journal')
  const text = fs.readFileSync(file, 'utf8')
  fs.writeFileSync(file, text.replace('"pm2rs_journal":1', '"pm2rs_journal":2'))
  await assert.rejects(pm2.list(), /newer pm2-rs/)
  assert.ok(isAlive(app.pid))
  fs.writeFileSync(file, text)
  await waitFor(async () => (await table(pm2))[0].restarts === 1)
})

test('`update` and `updatePM2` print the marker and the table', async (t) => {
  const pm2 = freshClient(t)
  await pm2.start({ script: fixture('forever.js'), name: 'app' })
  const before = await table(pm2)
  for (const verb of ['update', 'updatePM2']) {
    const { status, stdout } = cli(pm2.home, [verb])
    assert.equal(status, 0)
    assert.match(stdout, />>>>>>>>>> PM2 updated\n/)
    assert.match(stdout, /│ app/)
  }
  assert.deepEqual(await table(pm2), before)
})

test('where a daemon of pm2 runs, update saves, ends it and starts the apps under ours', async (t) => {
  const home = freshHome(t)
  const started = cli(home, ['start', fixture('forever.js'), '--name', 'app'], { stock: true })
  assert.equal(started.status, 0, started.stderr)
  const { custom } = require(root)
  const pm2 = new custom({ pm2_home: home })
  pm2.home = home
  t.after(async () => {
    await pm2.killDaemon().catch(() => {})
    await pm2.disconnect().catch(() => {})
  })
  const [was] = await pm2.list()
  const { status, stdout, stderr } = cli(home, ['update'])
  assert.equal(status, 0, stderr)
  assert.match(stdout, />>>>>>>>>> PM2 updated/)
  const [now] = await pm2.list()
  assert.equal(now.name, 'app')
  assert.equal(now.pm2_env.status, 'online')
  assert.ok(!isAlive(was.pid))
  assert.ok((await info(pm2)).keeper_pid > 0)
})

test('`pm2 update` of stock against ours leads to its own daemon, and ours takes over again', async (t) => {
  const pm2 = freshClient(t)
  await pm2.start({ script: fixture('forever.js'), name: 'app' })
  const ours = await info(pm2)
  const stock = cli(pm2.home, ['update'], { stock: true })
  assert.equal(stock.status, 0, stock.stderr)
  assert.ok(!isAlive(ours.keeper_pid) && !isAlive(ours.daemon_pid))
  await assert.rejects(info(pm2), /does not exist/)
  assert.equal((await table(pm2))[0].status, 'online')
  assert.equal(cli(pm2.home, ['update']).status, 0)
  assert.ok((await info(pm2)).keeper_pid > 0)
  assert.equal((await table(pm2))[0].status, 'online')
})
