// `npm test`: installs what is missing, builds, and runs everything; ends with a look for processes left behind.
//
// `npm test -- node`            only the step named "node" (and the build it needs)
// `npm test -- node bus.test`   only Node test files whose path contains "bus.test"

import { execFileSync, spawnSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import path from 'node:path'

import { installPackages, root } from './packages.mjs'

const [only, filter] = process.argv.slice(2)

// Every process that a test starts inherits this, apps included: what still has it at the end was left behind.
const mark = `PM2_RS_TEST_RUN=${randomUUID()}`
// CI runs the supervisor's simulation in full: 10 000 steps for 1 000 seeds, about a minute.
const simulation = process.env.CI ? { PM2_RS_SIM_SEEDS: '1000', PM2_RS_SIM_STEPS: '10000' } : {}
const env = {
  ...simulation,
  ...process.env,
  ...Object.fromEntries([mark.split('=')]),
  PM2_DISABLE_VERSION_CHECK: 'true',
}
for (const name of ['PM2_HOME', 'PM2_PROGRAMMATIC', 'PM2_USAGE', 'pm_id']) delete env[name]

function run(command, args) {
  const shown = [command, ...args].join(' ')
  console.log(`\n> ${shown.length > 160 ? `${shown.slice(0, 157)}...` : shown}`)
  const { status, signal, error } = spawnSync(command, args, { cwd: root, env, stdio: 'inherit' })
  if (error) throw error
  if (status !== 0) throw new Error(`\`${shown}\` ended with ${signal ?? `exit code ${status}`}`)
}

function testFiles(folder) {
  const files = readdirSync(path.join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const name = `${folder}/${entry.name}`
    if (entry.isDirectory()) return ['fixtures', 'support'].includes(entry.name) ? [] : testFiles(name)
    return /\.test\.m?js$/.test(entry.name) ? [name] : []
  })
  return filter ? files.filter((name) => name.includes(filter)) : files
}

function hasNextest() {
  return spawnSync('cargo', ['nextest', '--version'], { stdio: 'ignore' }).status === 0
}

const steps = {
  install: () => installPackages(),
  format: () => run('cargo', ['fmt', '--check']),
  clippy() {
    run('cargo', ['clippy', '--all-targets', '--quiet', '--', '-D', 'warnings'])
  },
  build: () => run(process.execPath, ['scripts/build.mjs']),
  rust: () =>
    hasNextest() && process.env.PM2_RS_NO_NEXTEST === undefined
      ? run('cargo', ['nextest', 'run', '--no-fail-fast', ...(filter ? [filter] : [])])
      : run('cargo', ['test', '--quiet', ...(filter ? [filter] : [])]),
  lint: () => run('node_modules/.bin/biome', ['ci', '--error-on-warnings', '.']),
  types: () => run('node_modules/.bin/tsc', ['-p', 'tsconfig.json', '--noEmit']),
  node() {
    const [major, minor] = process.versions.node.split('.').map(Number)
    const knowsLimits = major > 20 || (major === 20 && minor >= 11)
    // The time is for a file that hangs: without it nothing would ever be told of what has failed.
    const concurrency = Math.max(2, availableParallelism())
    const limits = knowsLimits ? [`--test-concurrency=${concurrency}`, `--test-timeout=${30 * 60_000}`] : []
    run(process.execPath, ['--test', ...limits, ...testFiles('__test__')])
  },
}

/** The processes of this machine for which `is` holds; what ends while we look, or is not ours to read, is none. */
function processes(is) {
  return readdirSync('/proc').filter((pid) => {
    try {
      return /^\d+$/.test(pid) && Number(pid) !== process.pid && is(pid)
    } catch {
      return false
    }
  })
}

const isMarked = (pid) => readFileSync(`/proc/${pid}/environ`, 'latin1').split('\0').includes(mark)
/** Also one that was given an environment without the mark; its file may be deleted, by the next build. */
const isDaemon = (pid) => {
  const file = readlinkSync(`/proc/${pid}/exe`)
  return file.startsWith(root + path.sep) && /\/pm2d( \(deleted\))?$/.test(file)
}
const hasProc = existsSync('/proc/self/environ')
const daemonsBefore = new Set(hasProc ? processes(isDaemon) : [])

/** Processes that a test started and nobody ended: `pid command`. */
function leftBehind() {
  const left = processes((pid) => isMarked(pid) || (isDaemon(pid) && !daemonsBefore.has(pid)))
  return left.map((pid) => `${pid} ${commandOf(pid)}`)
}

function commandOf(pid) {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1').replaceAll('\0', ' ').trim()
  } catch {
    return 'has ended'
  }
}

const needed = {
  node: ['install', 'build', 'node'],
  rust: ['rust'],
  lint: ['install', 'lint'],
  types: ['install', 'types'],
}
const chosen = only ? (needed[only] ?? [only]) : Object.keys(steps)
const started = Date.now()
try {
  for (const name of chosen) steps[name]()
} catch (error) {
  console.error(`\n${error.message}`)
  process.exitCode = 1
}

// Windows and macOS have no /proc; the check then rests on Linux, where CI runs.
if (hasProc) {
  let left = leftBehind()
  // A process that was just told to end may need a moment; nothing here is timed, so a short bound is no assertion.
  for (let tries = 0; left.length > 0 && tries < 20; tries++) {
    execFileSync('sleep', ['0.1'])
    left = leftBehind()
  }
  if (left.length > 0) {
    console.error(`\nLeft behind by the tests:\n${left.join('\n')}`)
    process.exitCode = 1
  } else {
    console.log('\nNo process was left behind.')
  }
}
console.log(`${process.exitCode ? 'FAILED' : 'passed'} after ${Math.round((Date.now() - started) / 1000)} s`)
