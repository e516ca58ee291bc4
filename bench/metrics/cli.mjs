import path from 'node:path'

import { atMost } from '../tools/goals.mjs'
import { runNode } from '../tools/node.mjs'
import { median } from '../tools/stats.mjs'

const APPS = 10
/** A start of Node varies by a tenth: with fewer the median still does by three hundredths. */
const TURNS = 100

export default {
  name: 'cli',
  rows: {
    ls: { what: `CLI \`ls\` with ${APPS} apps`, unit: 'x bare node', better: 'lower', goal: atMost(1.15, 'x') },
    version: { what: 'CLI `--version`', unit: 'x bare node', better: 'lower' },
    native: {
      what: `native CLI (\`pm2d cli ls\`) with ${APPS} apps`,
      unit: 'ms',
      better: 'lower',
      goal: atMost(8, 'ms'),
      only: 'ours',
    },
    bare: { what: '(the unit: bare `node -e 0`)', unit: 'ms', better: 'lower' },
  },

  async measure(peer, tools) {
    const home = tools.home()
    const driver = await tools.driver(peer, home)
    await driver.call('start', home.idle(APPS))
    await driver.end()
    const [bare, ls, version, native] = [[], [], [], []]
    const pm2d = path.join(peer.package, 'pm2d')
    for (let turn = 0; turn < tools.pick(7, TURNS); turn++) {
      bare.push(runNode(['-e', '0'], home).ms)
      const shown = runNode([peer.cli, 'ls'], home)
      if (shown.stdout.split('online').length - 1 < APPS)
        throw new Error(`\`ls\` does not show ${APPS} apps online:\n${shown.stdout}`)
      ls.push(shown.ms)
      version.push(runNode([peer.cli, '--version'], home).ms)
      if (peer.name === 'ours') native.push(runNode(['cli', 'ls'], home, { program: pm2d }).ms)
    }
    const unit = median(bare)
    const figures = { ls: median(ls) / unit, version: median(version) / unit, bare: unit }
    return peer.name === 'ours' ? { ...figures, native: median(native) } : figures
  },
}
