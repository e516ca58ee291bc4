'use strict'

// The daemon is killed as often as it can be, while every request to a cluster app comes on a connection of its own: none
// may fail, wherever the daemon was with it. Now and then the keeper is killed, too.
//
// PM2_RS_HANDOVER_KILLS: how many daemons are killed (200).

const assert = require('node:assert/strict')
const fs = require('node:fs')
const path = require('node:path')
const { test } = require('node:test')

const { startCluster } = require('../support/cluster.js')
const { startLoad } = require('../support/load.js')
const { killDaemon, killKeeper, settled, table } = require('../support/recovery.js')

const kills = Number(process.env.PM2_RS_HANDOVER_KILLS || 200)

/** Of how many connections the daemons said that they had them from the one before, and how many of these were sent. */
function takenOver(home) {
  const said = fs.readFileSync(path.join(home, 'pm2.log'), 'utf8')
  const counts = [...said.matchAll(/(\d+) accepted connections taken over, (\d+) of them/g)]
  const sum = (index) => counts.reduce((sum, found) => sum + Number(found[index]), 0)
  return { takenOver: sum(1), ofThemSent: sum(2) }
}

test(`no request fails while ${kills} daemons are killed`, { timeout: 60_000 + kills * 2_000 }, async (t) => {
  const { pm2, port } = await startCluster(t, { instances: 2 })
  const before = await table(pm2)
  const load = startLoad({ t, port, clients: 6 })
  const begun = Date.now()
  for (let killed = 1; killed <= kills; killed++) {
    await killDaemon(pm2)
    // A keeper that sees its daemon die again and again waits before it starts the next one; a new one has seen none.
    if (killed % 4 === 0) await killKeeper(pm2)
    await new Promise((resolve) => setTimeout(resolve, Math.random() * 40))
  }
  const seconds = (Date.now() - begun) / 1000
  const { requests, failures } = await load.stop()
  await settled(pm2)
  t.diagnostic(JSON.stringify({ kills, seconds, requests, failed: failures.length, ...takenOver(pm2.home) }))
  assert.deepEqual(failures, [])
  assert.deepEqual(await table(pm2), before, 'nobody was restarted')
})
