import { atMost } from '../tools/goals.mjs'
import { runNode } from '../tools/node.mjs'
import { median } from '../tools/stats.mjs'

export default {
  name: 'require',
  rows: {
    process: { what: '`require`, above bare `node -e 0`', unit: 'ms', better: 'lower', goal: atMost(5, 'ms') },
    call: { what: 'the call of `require` itself', unit: 'ms', better: 'lower' },
  },

  async measure(peer, tools) {
    const home = tools.home()
    const load = `require(${JSON.stringify(peer.package)})`
    const timed = `const start = process.hrtime.bigint(); ${load}; process.stdout.write(String(process.hrtime.bigint() - start))`
    const [bare, whole, call] = [[], [], []]
    runNode(['-e', load], home) // Warms the page cache; a compile cache may fill.
    for (let turn = 0; turn < tools.pick(7, 20); turn++) {
      bare.push(runNode(['-e', '0'], home).ms)
      whole.push(runNode(['-e', load], home).ms)
      call.push(Number(runNode(['-e', timed], home).stdout.trim().split('\n').at(-1)) / 1e6)
    }
    return { process: median(whole) - median(bare), call: median(call) }
  },
}
