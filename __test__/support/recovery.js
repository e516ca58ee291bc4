'use strict'

// What the recovery tests have in common: who is keeper and daemon, killing them, and what must not have changed.

const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')

const { fixture, isAlive, root, waitFor } = require('./home.js')

const pm2d = path.join(root, 'pm2d')

/** Who runs here: `{keeper_pid, daemon_pid, generation, ...}`. */
async function info(pm2) {
  const { Client } = pm2
  const answer = await new Promise((resolve, reject) => {
    Client.executeRemote('pm2rsInfo', {}, (error, value) => (error ? reject(error) : resolve(value)))
  })
  return answer
}

/** `info`, asked again while the daemon is away. */
const settled = (pm2, is = () => true) =>
  waitFor(async () => {
    const now = await info(pm2)
    return is(now) && now
  }, `daemon of ${pm2.home}`)

/** Kills the daemon and waits for the next one. */
async function killDaemon(pm2) {
  const before = await settled(pm2)
  process.kill(before.daemon_pid, 'SIGKILL')
  return settled(pm2, (now) => now.daemon_pid !== before.daemon_pid)
}

/** Kills the keeper and waits until the next one holds everything. */
async function killKeeper(pm2) {
  const before = await settled(pm2)
  process.kill(before.keeper_pid, 'SIGKILL')
  return settled(pm2, (now) => now.keeper_pid !== before.keeper_pid)
}

/** Kills both; the next call launches new ones. */
async function killBoth(pm2) {
  const before = await settled(pm2)
  // Stopped first, so that neither sees the other's end and starts it again.
  for (const pid of [before.keeper_pid, before.daemon_pid]) process.kill(pid, 'SIGSTOP')
  for (const pid of [before.keeper_pid, before.daemon_pid]) process.kill(pid, 'SIGKILL')
  await waitFor(() => !isAlive(before.keeper_pid) && !isAlive(before.daemon_pid))
  return before
}

/** Name, pid, status and restarts of all, by id. */
async function table(pm2) {
  const list = await waitFor(() => pm2.list())
  return list.map(({ name, pid, pm_id, pm2_env }) => ({
    name,
    pid,
    pm_id,
    status: pm2_env.status,
    restarts: pm2_env.restart_time,
  }))
}

/** The numbers in a log of `numbers.js`, by pid; fails if one is missing, doubled or torn. */
function numbers(file) {
  const lines = fs.readFileSync(file, 'utf8').split('\n')
  // The last one may be on its way.
  lines.pop()
  const last = new Map()
  for (const [at, line] of lines.entries()) {
    const match = /^n (\d+) (\d+)$/.exec(line)
    assert.ok(match, `line ${at + 1} of ${file} is torn or foreign: ${JSON.stringify(line.slice(0, 200))}`)
    const [pid, number] = [Number(match[1]), Number(match[2])]
    assert.equal(number, (last.get(pid) ?? 0) + 1, `line ${at + 1} of ${file}: numbers of ${pid} go on`)
    last.set(pid, number)
  }
  return last
}

/** Waits until the app has written `more` further lines. */
async function goesOn(app, more = 20) {
  const file = app.pm2_env.pm_out_log_path
  const count = () => fs.readFileSync(file, 'utf8').split('\n').length
  const before = count()
  await waitFor(() => count() >= before + more, `${more} more lines in ${file}`)
}

/**
 * A copy of our executable that says of itself that it is of another version: every text that is the version of ours is
 * replaced by one of the same length.
 */
function otherVersion(t, version) {
  const { version: ours } = require(path.join(root, 'package.json'))
  assert.equal(version.length, ours.length)
  const bytes = fs.readFileSync(pm2d)
  for (let at = bytes.indexOf(ours); at >= 0; at = bytes.indexOf(ours, at + 1)) bytes.write(version, at)
  const folder = fs.mkdtempSync(path.join(require('node:os').tmpdir(), 'pm2-rs-next-'))
  t.after(() => fs.rmSync(folder, { recursive: true }))
  const file = path.join(folder, 'pm2d')
  fs.writeFileSync(file, bytes, { mode: 0o755 })
  const told = JSON.parse(require('node:child_process').execFileSync(file, ['--versions'], { encoding: 'utf8' }))
  assert.equal(told.version, version)
  return file
}

/** Lets the executable of `PM2_RS_DAEMON`, or ours, take over. */
const update = (pm2) =>
  new Promise((resolve, reject) => {
    pm2.update((error, result) => (error ? reject(error) : resolve(result)))
  })

module.exports = {
  goesOn,
  info,
  killBoth,
  killDaemon,
  killKeeper,
  numbers,
  numbersApp: fixture(path.join('recovery', 'numbers.js')),
  otherVersion,
  pm2d,
  settled,
  table,
  update,
}
