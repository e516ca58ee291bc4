'use strict'

// Owns: what the native CLI cannot know by itself. All verbs, texts and exit codes are in `src/cli`.

const path = require('node:path')
const native = require('./native.js')

/**
 * Runs the CLI; it writes to this process's stdout and stderr.
 * @param {string[]} argv without node and script
 * @param {Record<string, string | undefined>} [env]
 * @param {boolean} [alone] this process is there for the command alone: it may end with it
 * @returns {Promise<number>} the exit code
 */
async function run(argv, env = process.env, alone = false) {
  // Signals of a command in the foreground are its own: a Node around it would die of them first.
  const end = argv.indexOf('--')
  if ((end < 0 ? argv : argv.slice(0, end)).includes('--no-daemon')) become('cli', argv)
  const context = {
    cwd: process.cwd(),
    env,
    node: process.execPath,
    nodeVersion: process.versions.node,
    program: process.argv[1],
    pm2d: daemon(),
    agent: path.join(__dirname, 'agent'),
  }
  // What kind the streams are the addon sees itself: to ask for `process.stdout` loads a tenth of Node.
  return native
    .load()
    .runCli(
      JSON.stringify(argv),
      JSON.stringify(context),
      (file) => require('./config_file.js').evaluateToJson(file),
      alone && !isWatched(env),
    )
}

/**
 * Replaces this process by the native program. Does not come back; stdout must not have been touched before.
 * @param {'cli' | 'runtime' | 'dev'} role
 * @param {string[]} argv
 * @returns {never}
 */
function become(role, argv) {
  const env = {
    ...process.env,
    PM2_RS_ADDON: native.file(),
    PM2_RS_AGENT: path.join(__dirname, 'agent'),
    PM2_RS_NODE: process.execPath,
    PM2_RS_NODE_VERSION: process.versions.node,
    PM2_RS_PROGRAM: process.argv[1],
  }
  const pm2d = native.findPm2d()
  native.load().becomeProgram(
    pm2d,
    [pm2d, role, ...argv],
    Object.entries(env).map(([name, value]) => `${name}=${value}`),
  )
  throw new Error(`cannot run ${pm2d}`)
}

// Whether more than the command line may run here: what `--require`, `--cpu-prof` and the like brought has work to do when
// the process ends.
function isWatched(env) {
  return process.execArgv.length > 0 || Boolean(env.NODE_OPTIONS || env.NODE_V8_COVERAGE)
}

// Most verbs find a daemon running, and those that launch one say themselves what is missing.
function daemon() {
  try {
    return native.findPm2d()
  } catch {
    return ''
  }
}

module.exports = { run, become }
