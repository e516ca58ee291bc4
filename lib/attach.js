'use strict'

// Owns: `attach`: a terminal joined to a process.

const readline = require('node:readline')

/**
 * Shows what the process writes and sends it the lines of stdin, until stdin ends.
 * @param {import('./api.js')} pm2
 * @param {unknown} id
 * @param {unknown} separator
 * @returns {Promise<void>}
 */
async function attach(pm2, id, separator) {
  if (id === '' || Number.isNaN(Number(id))) {
    throw Object.assign(new Error('pm_id must be number'), { code: 'INVALID_ARGUMENT' })
  }
  const bus = await pm2.launchBus()
  bus.on('log:*', (/** @type {string} */ type, /** @type {any} */ packet) => {
    if (String(packet?.process?.pm_id) !== String(id)) return
    ;(type === 'err' ? process.stderr : process.stdout).write(String(packet.data))
  })
  const input = readline.createInterface({ input: process.stdin })
  let sent = Promise.resolve()
  await new Promise((resolve) => {
    input.on('line', (line) => {
      // One after the other, so that they arrive in order; a process that has gone loses its lines.
      sent = sent.then(() => pm2.sendLineToStdin(id, line, separator)).catch(() => {})
    })
    input.on('close', () => resolve(undefined))
  })
  await sent
  bus.close()
}

module.exports = { attach }
