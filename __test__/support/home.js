'use strict'

// A fresh PM2_HOME for one test, and everything that must be gone when the test ends.

const { execFileSync } = require('node:child_process')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')

const root = path.join(__dirname, '..', '..')

/** Absolute path of a fixture app. */
const fixture = (name) => path.join(root, '__test__', 'fixtures', name)

/** Whether a process with this pid lives (a zombie does not). */
function isAlive(pid) {
  try {
    return !/^State:\s+Z/m.test(fs.readFileSync(`/proc/${pid}/status`, 'latin1'))
  } catch {
    return false
  }
}

/**
 * Waits until `condition` gives something truthy, and gives that back. The limit is for failure only: it is generous,
 * because the machine may be busy, and what was seen last is part of the message.
 */
async function waitFor(condition, what = condition.toString(), limit = 30_000) {
  const end = Date.now() + limit
  let last
  for (;;) {
    try {
      last = await condition()
      if (last) return last
    } catch (error) {
      last = error
    }
    if (Date.now() > end) throw new Error(`waited ${limit} ms for: ${what}; last seen: ${describe(last)}`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

function describe(value) {
  if (value instanceof Error) return value.stack
  const text = JSON.stringify(value)
  return text && text.length > 2000 ? `${text.slice(0, 2000)}...` : text
}

/** The entries (`NAME=value`) of a living process's environment. The kernel shows none for an instant within its exec. */
function environOf(pid) {
  for (const end = Date.now() + 30_000; ; ) {
    const text = fs.readFileSync(`/proc/${pid}/environ`, 'utf8')
    if (text !== '' || Date.now() > end) return text.split('\0')
  }
}

/** Pids of the processes that have `text` as an entry of their environment. */
function pidsWithEnv(entry) {
  return fs.readdirSync('/proc').flatMap((pid) => {
    if (!/^\d+$/.test(pid)) return []
    try {
      const environ = fs.readFileSync(`/proc/${pid}/environ`, 'latin1').split('\0')
      return environ.includes(entry) && Number(pid) !== process.pid ? [Number(pid)] : []
    } catch {
      return []
    }
  })
}

/** A new, empty PM2_HOME. When the test ends, what still runs under it is ended by pid, and the folder is removed. */
function freshHome(t) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'pm2-rs-'))
  const home = path.join(folder, 'home')
  t.after(async () => {
    // Keeper and daemon first, so that nobody starts an app again.
    for (let tries = 0; tries < 50; tries++) {
      const pids = pidsWithEnv(`PM2_HOME=${home}`)
      if (pids.length === 0) break
      for (const pid of pids) {
        try {
          process.kill(pid, 'SIGKILL')
        } catch {
          // Gone already.
        }
      }
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    fs.rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
  })
  return home
}

/** A client of ours for a fresh home; its daemon is killed in the orderly way when the test ends. */
function freshClient(t, options = {}) {
  const home = freshHome(t)
  const { custom } = require(root)
  const pm2 = new custom({ pm2_home: home, ...options })
  t.after(async () => {
    // The home was swept before, unless a daemon is there still: a call that finds none must not launch one again.
    if (fs.existsSync(path.join(home, 'rpc.sock'))) await pm2.killDaemon().catch(() => {})
    await pm2.disconnect().catch(() => {})
  })
  pm2.home = home
  return pm2
}

/** Runs the command line of ours (`bin/pm2-rs`) or of stock pm2 and gives back status, stdout and stderr. */
function cli(home, args, { stock = false, env = {}, input, cwd } = {}) {
  const file = stock ? path.join(root, 'node_modules', 'pm2', 'bin', 'pm2') : path.join(root, 'bin', 'pm2-rs')
  const full = { ...process.env, NO_COLOR: '1', PM2_HOME: home, PM2_DISABLE_VERSION_CHECK: 'true', ...env }
  // Requiring the package sets it, and it silences a stock command line.
  delete full.PM2_PROGRAMMATIC
  try {
    const stdout = execFileSync(process.execPath, [file, ...args], {
      env: full,
      input,
      cwd,
      encoding: 'utf8',
      stdio: ['pipe', 'pipe', 'pipe'],
      maxBuffer: 64 << 20,
    })
    return { status: 0, stdout, stderr: '' }
  } catch (error) {
    if (error.stdout === undefined) throw error
    return { status: error.status, signal: error.signal, stdout: error.stdout, stderr: error.stderr }
  }
}

module.exports = { cli, environOf, fixture, freshClient, freshHome, isAlive, pidsWithEnv, root, waitFor }
