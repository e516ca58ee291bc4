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

/**
 * The processes that have this entry in their environment, and whether there may be more: one in the middle of its exec shows no
 * environment, and its memory has no end of it yet (field 51 of proc_pid_stat(5)).
 */
function lookForEnv(entry) {
  const pids = []
  let unsure = false
  for (const pid of fs.readdirSync('/proc').filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)) {
    try {
      const environ = fs.readFileSync(`/proc/${pid}/environ`, 'latin1')
      if (environ.split('\0').includes(entry)) pids.push(Number(pid))
      if (environ === '') {
        const [state, ...fields] = fs
          .readFileSync(`/proc/${pid}/stat`, 'latin1')
          .replace(/^.*\) /s, '')
          .split(' ')
        const isOfKernel = (Number(fields[5]) & 0x200000) !== 0
        unsure ||= state !== 'Z' && !isOfKernel && fields[47] === '0'
      }
    } catch {
      // It ended while we looked, or is not ours.
    }
  }
  return { pids, unsure }
}

/** Pids of the processes that have `entry` (`NAME=value`) in their environment. */
const pidsWithEnv = (entry) => lookForEnv(entry).pids

function signal(pid, name) {
  try {
    process.kill(pid, name)
  } catch {
    // Gone already.
  }
}

/**
 * Ends everything that runs under a home. Stopped first, all of it: of keeper and daemon the one that sees the other die starts
 * another, and the daemon starts apps again.
 */
async function sweep(home) {
  const stopped = new Set()
  await waitFor(() => {
    const { pids, unsure } = lookForEnv(`PM2_HOME=${home}`)
    const found = pids.filter((pid) => !stopped.has(pid))
    for (const pid of found) {
      signal(pid, 'SIGSTOP')
      stopped.add(pid)
    }
    return found.length === 0 && !unsure
  }, `all processes of ${home}`)
  for (const pid of stopped) signal(pid, 'SIGKILL')
  await waitFor(() => ![...stopped].some(isAlive), `the end of ${[...stopped]}`)
}

/** A new, empty PM2_HOME. When the test ends, what still runs under it is ended by pid, and the folder is removed. */
function freshHome(t) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'pm2-rs-'))
  const home = path.join(folder, 'home')
  t.after(async () => {
    await sweep(home)
    fs.rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
  })
  return home
}

/** A client of ours for a fresh home. */
function freshClient(t, options = {}) {
  let pm2
  // Before anything that may fail: an open connection would keep the process of the tests alive.
  t.after(() => pm2?.disconnect().catch(() => {}))
  const home = freshHome(t)
  const { custom } = require(root)
  pm2 = new custom({ pm2_home: home, ...options })
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
