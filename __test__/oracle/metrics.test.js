'use strict'

// The oracle of the figures that a Node app is measured by: names, units and types are those of stock pm2.

const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const { test } = require('node:test')

const { cli, freshHome, waitFor } = require('../support/home.js')

const app = `
const http = require('node:http')
const server = http.createServer((_request, response) => response.end())
server.listen(0, '127.0.0.1', () => setInterval(() => http.get({ port: server.address().port }, (a) => a.resume()), 50))
`

/** `[name, historic, unit, type, typeof value]` of each figure, once those of requests are among them. */
async function figures(t, stock) {
  const home = freshHome(t)
  const script = path.join(path.dirname(home), 'measured.js')
  fs.writeFileSync(script, app)
  await cli(home, ['start', script], { stock })
  return waitFor(async () => {
    const [{ pm2_env: record }] = JSON.parse((await cli(home, ['jlist'], { stock })).stdout)
    const figures = Object.entries(record.axm_monitor)
    const shapes = figures.map(([name, { historic, unit, type, value }]) => [name, historic, unit, type, typeof value])
    return shapes.length >= 10 && shapes
  }, 'ten figures')
}

test('the figures of an app are those of stock pm2', async (t) => {
  const [stock, ours] = await Promise.all([figures(t, true), figures(t, false)])
  assert.deepEqual(ours, stock)
})
