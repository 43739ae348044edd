"""CGGM's options one by one, ten seeds, for a benchmark that names its ``data``; nothing is searched.

The paper's method comes first, with ρ = M / (M - 1) and λ = 0.2, and then what is recommended; each variant
says what differs. The best value on the validation split leads the table, since it is what options are
chosen by.
"""

magnitude, direction, rho, lam, bounds, tolerance = (
    f'optim_wrapper.balancer.{key}' for key in ('magnitude', 'direction', 'rho', 'lam', 'bounds', 'tolerance')
)
methods = {
    'joint': dict(config='configs/baseline/{data}.py'),
    **{
        name: dict(config='configs/cggm/{data}_paper.py', overrides=overrides)
        for name, overrides in {
            'CGGM paper': {},
            'rho 1.3': {rho: 1.3},
            'rho 1.0': {rho: 1.0},
            'bounds 0 1': {bounds: (0.0, 1.0)},
            'magnitude alone': {direction: 'none'},
            'magnitude on update': {magnitude: 'update'},
            'direction alone': {magnitude: 'none'},
            'direction of weights': {direction: 'weight', tolerance: None},
        }.items()
    },
    **{
        name: dict(config='configs/cggm/{data}.py', overrides=overrides)
        for name, overrides in {
            'smoothed': {},
            'smoothed + rho 1.3': {rho: 1.3},
            'smoothed + lam 0.1': {lam: 0.1},
            'smoothed + lam 0.2': {lam: 0.2},
            'smoothed + on update': {magnitude: 'update'},
        }.items()
    },
    **{
        name: dict(config='configs/cggm/{data}_teaching.py', overrides=overrides)
        for name, overrides in {
            'teaching': {},
            'teaching - magnitude': {magnitude: 'none'},
            'teaching + lam 0.1': {lam: 0.1},
        }.items()
    },
}
baseline = 'joint'
seeds = list(range(10))
checkpoint = 'best'
metrics = ['validation', 'accuracy']
