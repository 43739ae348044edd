import json

import pytest

from mmcggm.datasets.brats.patients import Patients, patient_of, read_patient_table


@pytest.mark.parametrize(
    ('case', 'patient'),
    [
        ('BraTS-GLI-00001-000', 'BraTS-GLI-00001'),
        ('BraTS-GLI-02059-101', 'BraTS-GLI-02059'),
        ('BraTS-MET-00012-101', 'BraTS-MET-00012'),
        ('BraTS-MEN-RT-0001-1', 'BraTS-MEN-RT-0001'),
        ('BraTS-MEN-RT-2012-2', 'BraTS-MEN-RT-2012'),
        ('BraTS-GoAT-00001', 'BraTS-GoAT-00001'),
        ('BraTS2021_00001', 'BraTS2021_00001'),
        ('BraTS2021_001', 'BraTS2021_001'),
        ('BraTS20_Training_001', 'BraTS20_Training_001'),
        ('BraTS19_TCIA10_449_1', 'BraTS19_TCIA10_449'),
        ('BraTS19_CBICA_AAB_1', 'BraTS19_CBICA_AAB_1'),
        ('BraTS19_2013_11_1', 'BraTS19_2013_11_1'),
        ('BraTSPhantom_00012', 'BraTSPhantom_00012'),
        ('sub-001_ses-01', 'sub-001'),
        ('sub-A01_ses-baseline_run-2', 'sub-A01'),
        ('sub-001', 'sub-001'),
        ('UCSD-PTGBM-0001_01', 'UCSD-PTGBM-0001'),
        ('UPENN-GBM-00001_11', 'UPENN-GBM-00001'),
        ('UPENN-GBM-00001_21', 'UPENN-GBM-00001'),
        ('UCSF-PDGM-0004', 'UCSF-PDGM-0004'),
        ('UCSF-PDGM-0429_FU003d', 'UCSF-PDGM-0429'),
        ('PatientID_0001_Timepoint_1', 'PatientID_0001'),
        ('Patient-012_week-044-2', 'Patient-012'),
        ('patient7_visit2', 'patient7'),
        ('RHUH-0001_2', 'RHUH-0001'),
        ('TCGA-FG-6692', 'TCGA-FG-6692'),
        ('TCGA-02-0003_1997.06.08', 'TCGA-02-0003'),
        ('C3L-00016-01', 'C3L-00016'),
        ('X12_t0', 'X12'),
        ('X12_tp2', 'X12'),
        ('X12_m06', 'X12'),
        ('Brain_s12', 'Brain_s12'),
        ('X12-T10', 'X12'),
        ('glioma 7 session 2', 'glioma 7'),
        ('Head_12_preop', 'Head_12'),
        ('Head_12_post-op', 'Head_12'),
        ('Head_12_2004-03-27', 'Head_12'),
        ('Head_12_20040327', 'Head_12'),
        ('100101A', '100101'),
        ('0012-2', '0012'),
        ('Case_2021_001', 'Case_2021_001'),
        ('a', 'a'),
    ],
)
def test_a_visit_is_no_part_of_the_patient(case, patient):
    assert patient_of(case) == patient


def test_many_cases_of_a_patient_by_their_names_are_a_warning():
    text = Patients().describe([f'Centre001_{index:03d}' for index in range(30)])
    assert text.startswith('1 in 30 cases')
    assert 'WARNING Centre001 has 30 cases' in text and '--patient-pattern' in text
    assert 'WARNING' not in Patients(r'(\w+)_').describe([f'Centre001_{index:03d}' for index in range(30)])


def test_the_summary_counts_patients_and_shows_some():
    text = Patients().describe(['sub-001_ses-01', 'sub-001_ses-02', 'sub-002_ses-01'])
    assert text.startswith('2 in 3 cases, told by their names; 1 of them with several cases')
    assert 'sub-001 = sub-001_ses-01, sub-001_ses-02' in text
    assert Patients().describe(['a', 'b']).endswith('each case is a patient of its own.')


def test_a_pattern_tells_the_patient():
    patients = Patients(r'[a-z]+(\d+)')
    assert patients.of('left7') == patients.of('right7') == '7'
    patients.check(['left7'])
    with pytest.raises(ValueError, match=r"--patient-pattern .* names no patient of 1 cases, e\.g\. '8'"):
        patients.check(['left7', '8'])


@pytest.mark.parametrize(('pattern', 'message'), [('(', 'no regular expression'), ('abc', 'has no group')])
def test_a_bad_pattern_is_named(pattern, message):
    with pytest.raises(ValueError, match=rf'--patient-pattern .*{message}'):
        Patients(pattern)


@pytest.mark.parametrize(('parts', 'end'), [(',', '\n'), (';', '\r\n'), ('\t', '\n')])
def test_a_table_tells_the_patient(tmp_path, parts, end):
    path = tmp_path / 'patients.csv'
    text = '\ufeffpatient,case\np,a\np,b\nq,c\n'.replace(',', parts).replace('\n', end)
    path.write_bytes(text.encode())
    patients = Patients(table=read_patient_table(path))
    assert patients.groups('abc') == {'p': ['a', 'b'], 'q': ['c']}
    with pytest.raises(ValueError, match=r"table of --patients names no patient of 1 cases, e\.g\. 'd'"):
        patients.check('abcd')


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ('id,patient\na,p\n', "row 2: needs the columns 'case' and 'patient'"),
        ('case,patient\na,p\nb,\n', 'row 3: needs'),
        ('case,patient\na,p\na,q\n', "row 3: case 'a' has a second patient, 'q'"),
        (b'\xff\xfe\x00', 'cannot be read'),
        (None, 'cannot be read'),
    ],
)
def test_a_bad_table_is_named(tmp_path, content, message):
    path = tmp_path / 'patients.csv'
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match=rf'--patients .*patients\.csv.*{message}'):
        read_patient_table(path)


def test_equal_scans_make_their_patients_one():
    same = [['sub-1_ses-1', 'x'], ['x', 'y'], ['u', 'v'], ['v', 'w']]
    patients = Patients(same_scans=same)
    groups = patients.groups(['sub-1_ses-1', 'sub-1_ses-2', 'x', 'y', 'u', 'v', 'w', 'z'])
    assert sorted(groups.values()) == [['sub-1_ses-1', 'sub-1_ses-2', 'x', 'y'], ['u', 'v', 'w'], ['z']]


@pytest.mark.parametrize(
    'patients', [Patients(), Patients('(a)'), Patients(table=dict(a='p')), Patients(same_scans=[['a', 'b']])]
)
def test_what_is_kept_tells_the_same_patients(patients):
    assert Patients.from_json(json.loads(json.dumps(patients.to_json()))) == patients
    assert Patients.from_json({}) == Patients()


@pytest.mark.parametrize(
    'content',
    [dict(patients='ids'), dict(patients=[]), dict(patients=dict(table=dict(a=1))), dict(same_scans=['ab'])],
)
def test_another_form_is_refused(content):
    with pytest.raises(ValueError, match="'patients' must be 'names'"):
        Patients.from_json(content)
