'use strict'

// Owns: the few methods of the API that are verbs of the CLI and nothing else (install, startup, deploy, pull). They
// run as a child, so that nothing is printed in the caller's process.

const { execFile } = require('node:child_process')
const { existsSync } = require('node:fs')
const path = require('node:path')
const { root } = require('./native.js')

const BIN = path.join(root, 'bin', 'pm2-rs')
const NEEDS_ROOT = new Set(['startup', 'unstartup', 'logrotate'])
// Written so, since a linter takes a control character in a pattern for a mistake.
const COLOUR = new RegExp(`${String.fromCharCode(27)}\\[[0-9;]*m`, 'g')

/**
 * @param {string} home
 * @param {string[]} argv
 * @param {Record<string, unknown> | null | undefined} opts `user`, `hp`, `serviceName`, `waitIp` of the boot verbs
 * @returns {Promise<{ success: true }>}
 */
async function throughCli(home, argv, opts) {
  const [verb, name] = argv
  if (NEEDS_ROOT.has(verb) && process.getuid?.() !== 0) {
    throw Object.assign(new Error('You have to run this with elevated rights'), { code: 'NEEDS_ROOT' })
  }
  if (verb === 'uninstall' && name !== 'all' && !existsSync(path.join(home, 'modules', String(name)))) {
    throw Object.assign(new Error('Unknown module'), { code: 'UNKNOWN_MODULE' })
  }
  await run([...argv, ...flags(opts)], { ...process.env, PM2_HOME: home, PM2_USAGE: 'CLI' })
  return { success: true }
}

/** @param {Record<string, unknown> | null | undefined} opts */
function flags(opts) {
  /** @type {[string, string][]} */
  const known = [
    ['user', '--user'],
    ['hp', '--hp'],
    ['serviceName', '--service-name'],
    ['waitIp', '--wait-ip'],
  ]
  return known.flatMap(([option, flag]) => {
    const value = opts?.[option]
    if (value === true) return [flag]
    return typeof value === 'string' ? [flag, value] : []
  })
}

/**
 * @param {string[]} argv
 * @param {Record<string, string | undefined>} env
 * @returns {Promise<void>}
 */
function run(argv, env) {
  return new Promise((resolve, reject) => {
    execFile(process.execPath, [BIN, ...argv], { env, maxBuffer: 64 * 1024 * 1024 }, (error, stdout, stderr) => {
      if (error === null) return resolve()
      const lines = `${stdout}\n${stderr}`.replace(COLOUR, '').trim().split('\n')
      const said = lines.filter((line) => line.includes('[ERROR]')).pop() ?? lines.pop()
      const message = said?.replace(/^\[PM2\](\[ERROR\])?\s*/, '') || error.message
      reject(Object.assign(new Error(message), { code: 'CLI_FAILED' }))
    })
  })
}

module.exports = { throughCli }
