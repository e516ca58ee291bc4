'use strict'

// Owns: the app that `serve` starts (contract/options.md section 10). The server itself is `static_server.js`.

const path = require('node:path')

/**
 * @param {{ target: unknown, port: unknown, opts: any, commander: any }} given arguments of `serve`, some of which may
 *   be its callback
 */
function staticApp({ target, port, opts, commander }) {
  const options = opts !== null && typeof opts === 'object' ? opts : {}
  const served = typeof target === 'string' && target !== '' ? target : process.env.PM2_SERVE_PATH || '.'
  const chosen =
    (typeof port === 'string' || typeof port === 'number' ? port : undefined) || process.env.PM2_SERVE_PORT || 8080
  const name = typeof commander?.name === 'string' && typeof commander === 'object' ? commander.name : options.name
  /** @type {Record<string, string>} */
  const env = { PM2_SERVE_PATH: path.resolve(served), PM2_SERVE_PORT: String(chosen) }
  if (options.spa) env.PM2_SERVE_SPA = 'true'
  if (options.ftp || options.directory) env.PM2_SERVE_FTP = 'true'
  if (options.host) env.PM2_SERVE_HOST = String(options.host)
  const user = options.basicAuthUsername ?? options.basic_auth?.username
  const password = options.basicAuthPassword ?? options.basic_auth?.password
  if (user && password) {
    env.PM2_SERVE_BASIC_AUTH = 'true'
    env.PM2_SERVE_BASIC_AUTH_USERNAME = String(user)
    env.PM2_SERVE_BASIC_AUTH_PASSWORD = String(password)
  }
  return {
    name: name || `static-page-server-${chosen}`,
    script: path.join(__dirname, 'static_server.js'),
    env: { ...env, ...(typeof options.env === 'object' ? options.env : {}) },
  }
}

module.exports = { staticApp }
