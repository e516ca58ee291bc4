'use strict'

// What lies in {dir}.

const ELF = '\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00>\x00'

const files = {
  'bin/node': '#!/bin/sh\n',
  'bin/bash': ELF,
  'bin/python3': '#!/bin/sh\n',
  'bin/ruby': '#!/bin/sh\n',
  'bin/tool': ELF,
  'app/app.js': '// app\n',
  'app/my.app.js': '// app\n',
  'app/mod.mjs': '// app\n',
  'app/common.cjs': '// app\n',
  'app/run.sh': '#!/bin/sh\n',
  'app/work.py': '# py\n',
  'app/work.rb': '# rb\n',
  'app/work.php': '# php\n',
  'app/typed.ts': '// ts\n',
  'app/view.tsx': '// tsx\n',
  'app/brew.coffee': '# coffee\n',
  'app/binary': ELF,
  'app/text': 'hello\n',
  'app/empty': '',
  'app/sp ace.js': '// app\n',
  'app/service/index.js': '// app\n',
  'app/sub/inner.js': '// app\n',
  'app/my_app.js': '// app\n',
  'deep/a/one.txt': '',
  'deep/node_modules/two.txt': '',
  'deep/.hidden/three.txt': '',
  'deep/.four': '',
  'user/.keep': '',
}

module.exports = files
