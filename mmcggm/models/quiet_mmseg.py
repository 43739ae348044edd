"""mmseg's networks, imported without what mmcv says at each start although nothing is wrong.

It stands before all else that imports them.
"""

import warnings

from mmcggm.utils.run_tool import silence_dependencies

with warnings.catch_warnings():
    silence_dependencies()
    import mmseg.models  # noqa: F401
