'use strict'

// A load of HTTP requests that counts its failures exactly: every request is answered whole with status 200, or failed.

const http = require('node:http')
const https = require('node:https')

/** One request; resolves with the body, rejects on anything but a whole answer with status 200. */
function request(options) {
  const { tls = false, timeout = 20_000, ...rest } = options
  return new Promise((resolve, reject) => {
    const sent = (tls ? https : http).get(
      { host: '127.0.0.1', path: '/', rejectUnauthorized: false, ...rest },
      (response) => {
        let body = ''
        response.setEncoding('utf8')
        response.on('data', (piece) => {
          body += piece
        })
        response.on('error', reject)
        response.on('end', () => {
          if (response.complete && response.statusCode === 200) resolve(body)
          else reject(new Error(`status ${response.statusCode}, complete: ${response.complete}`))
        })
      },
    )
    sent.setTimeout(timeout, () => sent.destroy(Object.assign(new Error('no answer in time'), { code: 'HUNG' })))
    sent.on('error', reject)
    sent.on('close', () => reject(new Error('closed without an answer')))
  })
}

/**
 * Starts `clients` loops, each sending its next request when it has the answer to the one before.
 * `keepAlive`: connections are used again, as by Node's own agent (free sockets that the server has closed are not).
 */
function startLoad({ t, clients = 8, keepAlive = false, tls = false, ...target }) {
  const { Agent } = tls ? https : http
  // Node's agent uses connections again also without `keepAlive`, while requests wait: then none must be used.
  const agent = keepAlive ? new Agent({ keepAlive, maxSockets: clients }) : false
  const failures = []
  const answers = new Map()
  let requests = 0
  let stopped = false
  const loops = Array.from({ length: clients }, async () => {
    while (!stopped) {
      requests += 1
      try {
        const body = await request({ ...target, tls, agent })
        answers.set(body, (answers.get(body) ?? 0) + 1)
      } catch (error) {
        if (failures.length > 1000) return
        failures.push(`${error.code ?? ''} ${error.message}`.trim())
      }
    }
  })
  t?.after(() => {
    stopped = true
    if (agent) agent.destroy()
  })
  return {
    failures,
    answers,
    get requests() {
      return requests
    },
    async stop() {
      stopped = true
      await Promise.all(loops)
      if (agent) agent.destroy()
      return { requests, failures, answers }
    },
  }
}

module.exports = { request, startLoad }
