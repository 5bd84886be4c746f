"""The vocabulary of the demo papers: areas, title words, keywords, names and places."""


def _split(text: str) -> list[str]:
    return text.split()


AREAS = {
    "Databases": _split(
        """query index join transaction schema relation table storage tuple view warehouse provenance
        integration record key partition log recovery cardinality optimizer column dictionary lake lineage"""
    ),
    "Machine Learning": _split(
        """classifier network gradient kernel feature embedding regression loss label policy reward attention
        sample prior inference ensemble forest boosting dropout encoder likelihood margin transfer bias"""
    ),
    "Networking": _split(
        """router packet link congestion protocol latency wireless spectrum antenna handover gateway mesh
        bandwidth queue switch tunnel beacon relay channel roaming backbone peering multicast jitter"""
    ),
    "Theory": _split(
        """bound graph proof automaton complexity approximation reduction matroid circuit polynomial logic
        lattice matching hardness coloring oracle randomness witness lemma treewidth kernelization game
        sorting flow"""
    ),
    "Systems": _split(
        """cache scheduler thread memory kernel hypervisor interrupt driver cluster checkpoint lock pipeline
        accelerator compiler register container filesystem paging firmware profiler allocator barrier core
        trace"""
    ),
    "Graphics": _split(
        """mesh texture shading camera light surface rendering animation pixel volume shadow scene contour
        spline geometry motion silhouette voxel hair cloth reflection curvature viewpoint skeleton"""
    ),
}

ADJECTIVES = _split(
    """adaptive approximate asynchronous automatic balanced bounded cautious certified coarse collaborative
    compact compressed concurrent consistent continuous cooperative correct cyclic decentralised declarative
    deep delayed dense deterministic differential diffuse discrete distributed dynamic early efficient
    elastic embedded emerging energy-aware eventual exact expressive fair fast faulty flexible fragile
    frugal functional general generic global gradual greedy hidden hierarchical hybrid implicit incremental
    indirect informed interactive invisible irregular iterative joint large lazy lightweight linear local
    loose low-cost massive measured minimal mobile modular monotone multiscale native nested noisy nonlinear
    oblivious online opaque opportunistic optimal ordered parallel partial passive patient periodic
    persistent portable practical precise predictive private probabilistic progressive proven quantised
    quick random rare reactive recursive redundant relaxed reliable remote resilient reusable reversible
    robust scalable seasonal secure selective semantic sequential shallow shared silent simple sketched slow
    smooth sparse speculative stable static stochastic streaming structural succinct symbolic synthetic
    temporal tight topological transparent trustworthy uncertain uniform universal unsupervised verified
    versatile virtual weighted"""
)

NOUNS = _split(
    """abstraction account agreement algebra alignment analysis anomaly application archive arrangement
    assembly assessment audit automation balance baseline batch behaviour benchmark blueprint boundary
    bridge budget bundle calculus calendar campaign capacity case catalogue cause census change choice city
    claim clock code colony combination comparison composition computation concept conflict connection
    constraint construction contract control conversation copy cost coverage crisis crowd curve cycle data
    deadline debate decision decomposition delivery demand dependency description design detection device
    diagnosis dialogue difference discovery disease display distance diversity document domain drift drone
    duty ecology economy edge effort election energy engine environment error estimate ethics event evidence
    evolution example exchange experience experiment explanation exploration factory failure family farm
    fault fiction field filter fleet forecast foundation fraction framework frontier function garden gene
    glacier grammar grid group guarantee guide habit harbour harvest health history home hospital house
    hypothesis image impact incentive industry information instrument insurance interface interview
    inventory island journey knowledge laboratory language law layer lesson library limit literature
    logistics machine maintenance management manuscript map market material measurement mechanism medicine
    method migration mine mixture model module molecule monitor museum navigation negotiation newspaper
    noise notation object observation ocean office opinion orbit order organisation origin outbreak outcome
    overview pattern payment perception performance permission perspective phase physics picture plan plant
    platform poem point pollution population power practice prediction preference preparation price
    principle prison privacy problem procedure process product project promise property proposal protein
    purchase question railway rain recipe region regulation relationship report representation request
    research reserve resource response result review rhythm risk river road robot role rule safety satellite
    school science season security selection sensor sentence service session shape signal simulation site
    skill society software soil solution sound source space species speech stability standard state
    statement station statistics strategy stream street structure student study supply survey synthesis
    target task taxonomy teacher team technique telescope temperature tension territory text theme theorem
    therapy time tool topic tour trade traffic training transition transport treatment trend trial trust
    understanding university update usage utility vaccine validation value vehicle version village vision
    visit vocabulary voice volcano vote warning waste weather wheel wind window witness workflow workshop
    world writing"""
)

TEMPLATES = (
    "{a} {t} for {b} {n} {m}",
    "On the {n} of {a} {t} in {b} {m}",
    "{s}: {a} {t} with {b} {n}",
    "{s}: a {b} {n} of {t} and {m}",
    "Towards {a} {n}, {b} {t} and {m}",
    "{a} {n} and the {t} of {b} {m}",
    "Learning from {a} {m}: {t} {n} in {s}",
    "The {s} {n}: {a} {t} under {b} {m}",
    "How {a} is the {t}? A {b} {n} of {m}",
    "{n} meets {t}: {a} {m} for {b} {s}",
)

FIRST_NAMES = _split(
    """Ada Adam Aisha Akira Alba Alexei Alice Amara Amir Ana Anders Anika Arjun Astrid Beatriz Ben Björn Bruno
    Camille Carlos Carmen Chen Chiara Clara Daniel Daria David Diego Elena Elif Emma Erik Esther Eva Fatima
    Felix Fiona François Frida Gabriel Giulia Grace Hana Hans Haruto Helen Henrik Hugo Ibrahim Ines Ingrid
    Irina Isabel Ivan Jack Jakub James Jana Jasmin João Johanna Jonas José Julia Karim Katarzyna Kenji Kofi
    Lara Lars Laura Leila Leon Lina Lucas Lucía Magnus Maja Malik Marco Maria Marta Martin Mateo Maya Mei
    Mia Mohamed Nadia Naomi Natalia Nils Noah Nora Oleg Olga Oliver Omar Oscar Paula Pavel Pedro Petra Priya
    Rafael Rania Ravi Rosa Ruth Samir Sara Sergei Sofia Stefan Sven Tariq Teresa Thomas Tomasz Ulrike
    Valentina Vera Victor Wanjiru Wei William Xin Yara Yuki Yusuf Zara Zoë"""
)

LAST_NAMES = _split(
    """Abadi Abe Adeyemi Aguilar Ahmed Almeida Andersson Arslan Bakker Banerjee Barbosa Bauer Becker Bennett
    Bergström Bianchi Bogdanov Borges Brandt Brown Campbell Cardoso Castillo Chandra Chowdhury Christensen
    Cohen Colombo Costa Dahl Das Delgado Demir Dubois Edwards Eriksen Esposito Evans Farah Fernández Ferrari
    Fischer Fontaine Friedman Fujita García Gauthier Ghosh Girard Gómez Grabowski Greco Gupta Haas Haddad
    Hansen Hartmann Hayashi Heikkinen Herrera Hoffmann Horváth Hughes Hussain Ibáñez Ito Ivanov Jackson
    Jansen Jensen Jovanović Kamau Kapoor Kato Keller Khalil Khan Kim Kovács Kowalski Krüger Kumar Larsen
    Laurent Leclerc Lehmann Lewis Lindqvist Lombardi López Magnusson Mahmoud Marino Martínez Mazur Mbeki
    Meier Mendes Meyer Mishra Moreau Moretti Morgan Müller Mwangi Nakamura Navarro Nguyen Nielsen Nikolaidis
    Nowak Núñez Ochieng Okafor Olsen Ortega Osman Papadopoulos Park Patel Pavlov Pereira Petrov Phillips
    Popescu Quintero Rahman Ramos Rao Reyes Ricci Richter Rivera Romano Rossi Roy Rysdael Saito Salazar
    Sánchez Santos Sasaki Schmidt Schneider Schubert Sharma Silva Singh Sokolov Sørensen Stewart Suzuki
    Takahashi Tanaka Tavares Taylor Tkachenko Torres Turner Urbina Vargas Vasilev Vega Virtanen Vogel Wagner
    Walker Wang Watanabe Weber Williams Wójcik Wright Yamamoto Yılmaz Young Zając Zhang Zhou Ziegler
    Zimmermann"""
)

PUBLISHERS = (
    "Alder Press",
    "Beacon House",
    "Cobalt Academic",
    "Delta Open Science",
    "Evergreen Society",
    "Fjord Publishing",
    "Granite University Press",
    "Harbour Letters",
    "Ivory Tower Books",
    "Juniper & Sons",
    "Kestrel Media",
    "Linden Verlag",
    "Meridian Journals",
    "Northlight",
    "Orchard Reviews",
    "Pinecone Proceedings",
)

COUNTRIES = _split(
    """Argentina Brazil Canada Denmark Estonia Finland Ghana Hungary India Japan Kenya Latvia Mexico Norway
    Portugal Slovenia"""
)

SYLLABLES = _split(
    """ba bel bor ca cor dan del dor el fa fen gal gar hal hem il jor ka kel kir la lin lor ma mar mir na nor o
    pal per quin ra ren ros sa sel sto ta tal tor ul va ven vi wal wen xi yar zan zel"""
)

NULL_WORDS = ("", "", "", "N/A", "?", "null", "-")
